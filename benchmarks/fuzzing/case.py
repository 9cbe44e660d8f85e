"""One input of a campaign, and what becomes of reading it."""

import io
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol

from hybridmpi.errors import RunFailed, UserError

READ, REFUSED = "read", "refused"
LIMIT_S = 20.0  # the longest that are meant to be read at all take some seconds, on a busy machine
READER = "'-m', 'hybridmpi.runlog.reading.program'"  # the process that reads run files
EXECUTION = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")


class Case(NamedTuple):
    """One input.

    Attributes:
        what: What was done to it, in words.
        read: Reads it as a user would.
        must_be_refused: Whether reading it is a finding: it asks for other files, or for memory.
    """

    what: str
    read: Callable[[], object]
    must_be_refused: bool = False


class Kind(Protocol):
    """A kind of input; made with a folder for what its inputs are made of.

    Attributes:
        most_mib: Memory that reading one may take.
    """

    most_mib: int

    def case(self, rng: Random, folder: Path) -> Case:
        """Write an input into an empty folder; all chance is `rng`'s."""


class Watch:
    """Notices what is executed, by Python's audit events and by a folder that hostile code makes.

    Attributes:
        trace: The folder.
    """

    def __init__(self, trace: Path) -> None:
        self.trace = trace
        self._executed: list[str] = []
        sys.addaudithook(self._hear)

    def executed(self) -> str:
        """Return what has been executed since this was asked last."""
        heard, self._executed = self._executed, []
        if self.trace.exists():
            self.trace.rmdir()
            heard.append("code of the input")
        return ", ".join(heard)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(EXECUTION) and READER not in str(arguments):
            self._executed.append(f"{event}{arguments}"[:200])
        elif event == "pickle.find_class" and not str(arguments[0]).startswith("numpy"):
            self._executed.append(f"{event}{arguments}")


def attempt(case: Case, watch: Watch, most_mib: int) -> tuple[str, str]:
    """Read an input.

    Returns:
        `READ`, `REFUSED`, or the name of a finding; and what there is to say of it.
    """
    watch.executed()
    before_mib = _reset_peak_mib()
    began_s = time.monotonic()
    outcome, detail = _outcome(case)
    elapsed_s = time.monotonic() - began_s
    grown_mib = _peak_mib() - before_mib
    if executed := watch.executed():
        return "executed", executed
    if outcome in (READ, REFUSED) and elapsed_s > LIMIT_S:
        return "slow", f"{elapsed_s:.1f} s"
    if outcome in (READ, REFUSED) and grown_mib > most_mib:
        return "memory", f"{grown_mib:.0f} MiB"
    return outcome, detail


def _outcome(case: Case) -> tuple[str, str]:
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            case.read()
    except (UserError, RunFailed) as error:
        return REFUSED, str(error)[:500]
    except Exception as error:  # whatever it is, it is a finding
        return type(error).__name__, traceback.format_exc()[-3000:]
    return ("not refused", case.what) if case.must_be_refused else (READ, "")


def _reset_peak_mib() -> float:
    Path("/proc/self/clear_refs").write_text("5")
    return _status_mib("VmRSS")


def _peak_mib() -> float:
    return _status_mib("VmHWM")


def _status_mib(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise KeyError(name)
