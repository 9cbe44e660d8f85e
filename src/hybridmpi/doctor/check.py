"""What a check finds, and a guard around it: no check may raise, crash or hang the doctor."""

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection

from hybridmpi.environment import safe_path

# Each check gets a fresh process: fork would hand on open MPI and torch libraries in any state.
_PROCESSES = multiprocessing.get_context("spawn")
_HANGS = "look for a network disk, a driver or a host name look-up that hangs, and try again"
_BROKEN = "the installation looks broken: install hybridmpi anew, in a fresh environment"


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What was looked at.
        state: How bad it is.
        found: What was found.
        mend: What to do about it; empty where all is well.
    """

    name: str
    state: State
    found: str
    mend: str = ""


def ok(name: str, found: str) -> Check:
    """Report that all is well."""
    return Check(name, State.OK, found)


def warning(name: str, found: str, mend: str) -> Check:
    """Report what may be in the way of some runs."""
    return Check(name, State.WARNING, found, mend)


def problem(name: str, found: str, mend: str) -> Check:
    """Report what is in the way of every run."""
    return Check(name, State.PROBLEM, found, mend)


def guarded(name: str, examine: Callable[[], Check], limit_s: float) -> Check:
    """Run a check in a process of its own; failing to end well is itself a problem.

    Args:
        name: What the check looks at.
        examine: The check; it must be picklable.
        limit_s: Seconds after which the process is killed.
    """
    receiver, sender = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_examine, args=(sender, name, examine))
    with safe_path():
        process.start()
    sender.close()
    try:
        if not receiver.poll(limit_s):
            return problem(name, f"no answer within {limit_s:g} s", _HANGS)
        check: Check = receiver.recv()
        return check
    except EOFError:
        process.join()
        return problem(name, f"the check crashed: exit code {process.exitcode}", _BROKEN)
    finally:
        process.kill()
        process.join()


def _examine(sender: "Connection[Check, Check]", name: str, examine: Callable[[], Check]) -> None:
    try:
        check = examine()
    except Exception as error:  # whatever it is belongs into the table
        check = problem(name, f"{type(error).__name__}: {error}", _BROKEN)
    sender.send(check)
