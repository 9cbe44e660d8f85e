"""Lost ranks: what MPI says of them where it survives losses (ULFM), and how to go on.

An operation with a lost rank then raises an exception instead of ending the job. Without ULFM a
lost rank ends the job, and nothing of this is ever needed.
"""

import os
from collections.abc import Sequence

from mpi4py import MPI

_ENABLED = "OMPI_MCA_mpi_ft_enable"
_LOSS = (
    MPI.ERR_PROC_FAILED,
    MPI.ERR_PROC_FAILED_PENDING,
    MPI.ERR_PENDING,
    MPI.ERR_IN_STATUS,
)


def survives_losses() -> bool:
    """Say whether this job goes on when a rank is lost: as Open MPI's mpirun has told it."""
    return os.environ.get(_ENABLED) in ("1", "true")


def lost_ranks(comm: MPI.Intracomm) -> list[int]:
    """Return the ranks of a communicator that MPI knows to be lost."""
    if not survives_losses():
        return []
    failed, everyone = comm.Get_failed(), comm.Get_group()
    try:
        return failed.Translate_ranks(None, everyone) if failed.size else []
    finally:
        failed.Free()
        everyone.Free()


def is_loss(error: BaseException) -> bool:
    """Say whether an error tells that a rank is lost."""
    return (
        isinstance(error, MPI.Exception) and error.Get_error_class() in _LOSS and survives_losses()
    )


def raise_unless_loss(error: MPI.Exception) -> None:
    """Raise an error again unless it tells that a rank is lost."""
    if not is_loss(error):
        raise error


def is_done(request: MPI.Request) -> bool:
    """Say whether a request has ended, be it because its rank is lost."""
    try:
        return request.Test()
    except MPI.Exception as error:
        raise_unless_loss(error)
        return True


def are_done(requests: Sequence[MPI.Request]) -> bool:
    """Say whether all of these have ended, be it because their ranks are lost."""
    try:
        return MPI.Request.Testall(requests)
    except MPI.Exception as error:
        raise_unless_loss(error)
        return all(is_done(request) for request in requests)


def reap(requests: Sequence[MPI.Request]) -> None:
    """Make those of these requests null that have ended, be it because their ranks are lost."""
    try:
        MPI.Request.Testsome(requests)
    except MPI.Exception as error:
        raise_unless_loss(error)
        for request in requests:
            is_done(request)
