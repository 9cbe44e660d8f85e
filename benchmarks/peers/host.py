"""A peer's process: answers the questions on its standard input, until that is closed.

python -m peers.host MODULE WORKERS
"""

import json
import os
import sys
from importlib import import_module

from peers.question import Question


def main(name: str, workers: int) -> None:
    """Say whether the peer is there, then answer."""
    # What a peer's libraries print goes to the standard error: the other end is only for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        measure = import_module(f"peers.{name}").prepare(workers)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), file=answers, flush=True)
        return
    print(json.dumps({}), file=answers, flush=True)
    for line in sys.stdin:
        answer = measure(Question(**json.loads(line)))
        print(json.dumps(answer._asdict()), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
