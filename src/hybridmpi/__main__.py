"""`python -m hybridmpi` is the command `hybridmpi`."""

import os
import sys

if __name__ == "__main__" and sys.path[0] in ("", os.getcwd()):
    # Where -m puts it, a file queue.py in this folder would take the place of Python's own.
    sys.path.append(sys.path.pop(0))

from hybridmpi.cli import main

if __name__ == "__main__":
    main(prog_name="hybridmpi")
