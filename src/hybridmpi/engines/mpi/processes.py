"""The processes of ranks: how to end one that hangs, and how to learn that one has ended.

MPI does not always tell. Under ULFM Open MPI 5.0 says nothing of a process that exits with a code
other than 0, and MPICH nothing of one that exits with 0; both tell of signals.
"""

import fcntl
import os
import select
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

_POLL_S = 0.2
_REAPING_LIMIT_S = 0.5  # mpirun reaps its ranks at once; only then the kernel tells how one ended
# Linux's pidfd.h: struct pidfd_info of version 0, its ioctl, and the bit for how a process ended.
_INFO = struct.Struct("=QQ11Ii")
_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
_HOW_IT_ENDED = 1 << 3


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
        if self.lives():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.number, signal.SIGKILL)

    def lives(self) -> bool:
        """Say whether it is there, and not yet a zombie; no where that cannot be found out."""
        return bool(self.started) and _start_of(self.number) == self.started


class Watch:
    """Notices, in a thread of its own, when processes of this node end, however they do."""

    def __init__(
        self,
        processes: Mapping[int, Process],
        told: Callable[[int, str], None] = lambda *_: None,
    ) -> None:
        """Begin to watch.

        Args:
            processes: Those to watch, by their ranks. Ones that cannot be seen from here, as in
                another container, are left out.
            told: Called in the thread, once for each rank, with how its process ended.
        """
        self._ended: dict[int, str] = {}
        self._told = told
        self._watched = {rank: each for rank, each in processes.items() if each.lives()}
        self._handles = {handle: rank for rank, handle in _opened(self._watched)}
        self._waking, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._thread.start()

    def ended(self) -> dict[int, str]:
        """Return the ranks whose processes have ended, and how each did."""
        return dict(self._ended)

    def kill(self, rank: int) -> bool:
        """End a rank's process at once; say whether it is one of those that are watched."""
        if rank in self._watched:
            self._watched[rank].kill()
        return rank in self._watched

    def close(self) -> None:
        """Watch no longer."""
        os.close(self._woken)
        self._thread.join()
        os.close(self._waking)
        for handle in self._handles:
            os.close(handle)

    def _watch(self) -> None:
        poll = select.poll()
        for handle in (*self._handles, self._waking):
            poll.register(handle, select.POLLIN)
        others = set(self._watched) - set(self._handles.values())
        while True:
            for handle, _ in poll.poll(_POLL_S * 1000 if others else None):
                if handle == self._waking:
                    return
                poll.unregister(handle)
                self._note(self._handles[handle], _how_it_ended(handle))
            for rank in [each for each in others if not self._watched[each].lives()]:
                others.remove(rank)
                self._note(rank, "")

    def _note(self, rank: int, how: str) -> None:
        self._ended[rank] = f"its process has ended{how and f' ({how})'}"
        self._told(rank, self._ended[rank])


def _opened(processes: Mapping[int, Process]) -> Iterable[tuple[int, int]]:
    """Yield ranks, each with a handle that tells when its process ends, where the kernel can."""
    for rank, process in processes.items():
        with suppress(AttributeError, OSError):  # it needs Linux 5.3
            handle = os.pidfd_open(process.number)
            if process.lives():  # or it has ended meanwhile, and the number may be another's
                yield rank, handle
            else:
                os.close(handle)


def _how_it_ended(handle: int) -> str:
    """Return a process's exit code or signal in words; nothing where Linux < 6.15 keeps it."""
    end_s = time.monotonic() + _REAPING_LIMIT_S
    while time.monotonic() < end_s:
        said = bytearray(_INFO.pack(_HOW_IT_ENDED, *[0] * 13))
        try:
            fcntl.ioctl(handle, _GET_INFO, said)
        except OSError:
            return ""
        mask, *_, status = _INFO.unpack(said)
        if mask & _HOW_IT_ENDED:
            return _in_words(os.waitstatus_to_exitcode(status))
        time.sleep(_REAPING_LIMIT_S / 50)
    return ""


def _in_words(exit_code: int) -> str:
    """Describe an exit code as `subprocess` counts them: a signal's number is negative."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    with suppress(ValueError):
        return signal.Signals(-exit_code).name
    return f"signal {-exit_code}"


def _start_of(number: int) -> str:
    """Return when a process was started, in the kernel's ticks.

    Returns:
        Nothing where that is unknown, or the process has ended and waits for its parent.
    """
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
