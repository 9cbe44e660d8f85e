"""A tiny model, in a run that fails as it was told by environment variables.

The model is built on every rank; on the one that is to fail, that arms the failure. The moment at
which it strikes goes to the file `struck.txt`, in seconds of the machine's monotonic clock.
"""

import ctypes
import errno
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mpi4py import MPI
from torch import Tensor, nn

from faults.tiny import linear as tiny
from hybridmpi.learning.trial import SIZES

WAY, RANK, CALL, HOW = (f"HYBRIDMPI_FAILURE_{name}" for name in ("WAY", "RANK", "CALL", "HOW"))
STRUCK = Path("struck.txt")
MOST_TRIED = max(max(sizes) for sizes in SIZES.values())
_ENDS: dict[str, Callable[[int], Any]] = {
    "raise": lambda _: _raise(ArithmeticError("planned failure")),
    "sys.exit": sys.exit,
    "os._exit": os._exit,
    "_exit": lambda code: ctypes.CDLL(None)._exit(code),
    "signal": lambda number: os.kill(os.getpid(), number),
}


def linear(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Return one linear layer, and arm the failure."""
    way, rank, call = os.environ[WAY], int(os.environ[RANK]), int(os.environ[CALL])
    model = tiny(shape, classes)
    if rank == MPI.COMM_WORLD.rank:
        end, _, number = os.environ[HOW].partition(" ")
        _ARMED[way](model, call, partial(_strike, end, int(number or 0)))
    return model


def _strike(end: str, number: int) -> None:
    if not STRUCK.exists():
        STRUCK.write_text(str(time.monotonic()))
    _ENDS[end](number)


def _building(_: nn.Module, call: int, strike: Callable[[], None]) -> None:
    del call
    strike()


def _computing(model: nn.Module, call: int, strike: Callable[[], None]) -> None:
    """Strike in the forward pass of a batch; trials of the model have fewer samples."""
    calls = 0

    def count(_: nn.Module, inputs: tuple[Tensor]) -> None:
        nonlocal calls
        calls += len(inputs[0]) > MOST_TRIED
        if calls >= call:
            strike()

    model.register_forward_pre_hook(count)


def _before(owner: Any, name: str, _: nn.Module, call: int, strike: Callable[[], None]) -> None:
    """Strike when a function is called."""
    calls, function = 0, getattr(owner, name)

    def counted(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls >= call:
            strike()
        return function(*given, **named)

    setattr(owner, name, counted)


def _starting(model: nn.Module, _: int, strike: Callable[[], None]) -> None:
    from hybridmpi.engines.mpi import serve

    _before(serve, "_create", model, 1, strike)


def _stepping(model: nn.Module, call: int, strike: Callable[[], None]) -> None:
    from hybridmpi.learning.update import Update

    _before(Update, "step", model, call, strike)


def _evaluating(model: nn.Module, _: int, strike: Callable[[], None]) -> None:
    from hybridmpi.engines.mpi import serve

    _before(serve, "evaluate_snapshots", model, 1, strike)


def _writing(model: nn.Module, call: int, strike: Callable[[], None]) -> None:
    """Let no file of this process grow from a step on, as if the disk were full."""
    del strike

    def fill() -> None:
        if not STRUCK.exists():
            STRUCK.write_text(str(time.monotonic()))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            size = Path("run.h5").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    _stepping(model, call, fill)


def _checkpointing(model: nn.Module, call: int, strike: Callable[[], None]) -> None:
    del strike
    from hybridmpi.checkpoints import keeper

    def full() -> None:
        STRUCK.write_text(str(time.monotonic()))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    _before(keeper, "write_state", model, call, full)


def _raise(error: Exception) -> None:
    raise error


_ARMED = {
    "building": _building,
    "computing": _computing,
    "starting": _starting,
    "stepping": _stepping,
    "evaluating": _evaluating,
    "writing": _writing,
    "checkpointing": _checkpointing,
    "nothing": lambda *_: None,
}
