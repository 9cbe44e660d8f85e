"""`python -m hybridmpi` is the command `hybridmpi`."""

from hybridmpi.cli import main

if __name__ == "__main__":
    main(prog_name="hybridmpi")
