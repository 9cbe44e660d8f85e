"""Steps that all ranks take together: they succeed on all ranks, or fail on all with one message.

Waiting ranks sleep: a rank that reads data or imports torch may take its time, and the others
leave the processor to it.
"""

import traceback
from collections.abc import Callable
from typing import TypeVar

from mpi4py import MPI

from hybridmpi.errors import RunFailed, UserError
from hybridmpi.transport.waiting import Patience

Result = TypeVar("Result")


def wait(is_done: Callable[[], bool]) -> None:
    """Wait, mostly asleep, for what other ranks do in their own time before and after training."""
    patience = Patience(shares_cores=True)
    while not is_done():
        patience.pause()


def barrier(comm: MPI.Intracomm) -> None:
    """Wait until all ranks are here."""
    wait(comm.Ibarrier().Test)


def agree(comm: MPI.Intracomm, action: Callable[[], Result]) -> Result:
    """Do `action` on this rank, and return its result once it has succeeded on every rank.

    Raises:
        UserError: On all ranks, if a rank raised one: that of the lowest such rank.
        RunFailed: Likewise for any other exception; the message holds its traceback.
    """
    failure: UserError | RunFailed | None = None
    try:
        result = action()
    except (UserError, RunFailed) as error:
        failure = error
    except (Exception, SystemExit):  # whatever it is, the other ranks must hear of it
        failure = RunFailed(f"rank {comm.rank} failed:\n{traceback.format_exc()}")
    barrier(comm)
    for reported in comm.allgather(failure):
        if reported is not None:
            raise reported
    return result
