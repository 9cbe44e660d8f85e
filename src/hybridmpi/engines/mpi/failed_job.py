"""How a failed job ends: its error is told once, and then all ranks end, however MPI was started.

Without ULFM, MPI's Abort does that. Under ULFM Open MPI 5.0's Abort ends the rank that calls it and
nobody else, and no other rank is told. mpirun, though, ends all its ranks on all nodes when it is
asked to by SIGTERM, with exit code 1. A rank that does not run below mpirun's own process, because
it is on another node or in a container, kills itself: MPI tells the others of that, which then end
the job in their turn.
"""

import os
import signal
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NoReturn

from mpi4py import MPI

from hybridmpi.transport.losses import survives_losses

HOW_TO_RESUME = "continue with --resume, if the job writes checkpoints"
_MPIRUN = ("mpirun", "mpiexec", "prterun")
_FORWARDING_S = 0.5  # MPICH's mpirun drops what it has not yet forwarded when a rank aborts
_MPIRUN_LIMIT_S = 5.0  # it kills its ranks a second or two after it was asked to end


def tell_once(error: str, lost: Collection[int]) -> None:
    """Tell an error that all ranks know of, on the lowest one that is not lost."""
    if error and _is_first(lost):
        print(f"Error: {error}", file=sys.stderr, flush=True)


def end_job(exit_code: int, lost: Collection[int] = ()) -> NoReturn:
    """End all ranks, once what was told has reached the terminal.

    Args:
        exit_code: The job's, where mpirun does as MPI asks it to; under ULFM it ends with 1.
        lost: Ranks that cannot do so. If several ranks end the job, the lowest other one is to ask
            mpirun: asked again, it would end at once, and leave shared memory behind.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(_FORWARDING_S)
    if not survives_losses():
        MPI.COMM_WORLD.Abort(exit_code)
    for mpirun in _mpiruns_above():
        if not _is_first(lost):
            time.sleep(_MPIRUN_LIMIT_S)
        os.kill(mpirun, signal.SIGTERM)
        time.sleep(_MPIRUN_LIMIT_S)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError  # not reached


def _is_first(lost: Collection[int]) -> bool:
    return MPI.COMM_WORLD.rank == min(set(range(MPI.COMM_WORLD.size)) - set(lost))


def _mpiruns_above() -> Iterator[int]:
    """Yield the process of the mpirun that this rank runs below, if that can be seen from here."""
    process = os.getppid()
    while process > 1:
        try:
            name, fields = _stat(process)
        except OSError:  # it is no Linux
            return
        if name in _MPIRUN:
            yield process
            return
        process = int(fields[1])


def _stat(process: int) -> tuple[str, list[str]]:
    text = Path(f"/proc/{process}/stat").read_text()
    name, _, fields = text.partition("(")[2].rpartition(")")
    return name, fields.split()
