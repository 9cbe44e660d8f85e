"""The processes of ranks, and how to end one that hangs."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self


class Process(NamedTuple):
    """A process of this machine; its number alone may be another's by the time it is killed."""

    number: int
    started: str

    @classmethod
    def this(cls) -> Self:
        """Return the process that asks."""
        return cls(os.getpid(), _start_of(os.getpid()))

    def kill(self) -> None:
        """End it at once, unless it has ended already."""
        if self.started and _start_of(self.number) == self.started:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.number, signal.SIGKILL)


def _start_of(number: int) -> str:
    """Return when a process was started, in the kernel's ticks; nothing where that is unknown."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[19]
