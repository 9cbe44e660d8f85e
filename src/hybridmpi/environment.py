"""Environment variables: numbers in them, threads that they ask for, and Python's search path."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# Set beside an OMP_NUM_THREADS that is ours, so that ranks don't take it for the user's.
SHARED_THREADS = "HYBRIDMPI_SHARED_THREADS"
_MOST_THREADS = 1024  # more is a mistake
_SAFE_PATH = "PYTHONSAFEPATH"
_OURS = "hybridmpi"  # any text turns it on


def whole_number(environment: Mapping[str, str], name: str) -> int | None:
    """Return the value of a variable, or None where it is not set or is no whole number >= 0.

    What others leave in the environment is no reason to refuse a run: an empty value, or a list
    such as Slurm's "2(x3)", counts as not set.
    """
    text = environment.get(name, "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def asked_threads(environment: Mapping[str, str]) -> int | None:
    """Return the threads per rank that the user asks for, or None if there is no such wish.

    As in torch, MKL_NUM_THREADS comes before OMP_NUM_THREADS, and of a list for nested regions
    ("4,2") the first number counts. A value that is not a number from 1 to 1024 is ignored.
    """
    if SHARED_THREADS in environment:
        return None
    for name in ("MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        first = environment.get(name, "").partition(",")[0]
        number = whole_number({name: first}, name)
        if number is not None and 1 <= number <= _MOST_THREADS:
            return number
    return None


@contextmanager
def safe_path() -> Iterator[None]:
    """Have processes of `multiprocessing` that start within look for modules as this one does.

    They would look in the current folder first, and take a queue.py of the user's for Python's.
    """
    if _SAFE_PATH in os.environ:
        yield
        return
    os.environ[_SAFE_PATH] = _OURS
    try:
        yield
    finally:
        os.environ.pop(_SAFE_PATH, None)


def leave_safe_path() -> None:
    """Undo `safe_path` in a process that has started: `python script.py` differs under it."""
    if os.environ.get(_SAFE_PATH) == _OURS:
        del os.environ[_SAFE_PATH]
