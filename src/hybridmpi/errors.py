"""Errors that are told to the user in a message, without a traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: the message says what was given, what is allowed and how to mend it.

    The command line prints the message without a traceback and ends with exit code 2.
    """


class RunFailed(Exception):  # noqa: N818 - an outcome of a run, not a mistake in the program
    """A run that failed while it ran: the message says why.

    The command line prints the message without a traceback and ends with exit code 1.
    """


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Describe what could have been meant by `name`: the nearest names, or all that are allowed."""
    allowed = sorted(allowed)
    close = difflib.get_close_matches(name, allowed, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f"'{match}'" for match in close) + "?"
    return "allowed: " + ", ".join(allowed)
