"""A whole training run under MPI, as each rank sees it."""

import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import torch
from mpi4py import MPI
from torch import Tensor

from hybridmpi.checkpoints.file import State
from hybridmpi.core.worker import Compute
from hybridmpi.engines.mpi.agreement import agree, barrier
from hybridmpi.engines.mpi.ends import worker_end
from hybridmpi.engines.mpi.failed_job import HOW_TO_RESUME, end_job
from hybridmpi.engines.mpi.farewell import Farewell, ends_alone
from hybridmpi.engines.mpi.ranks import Ranks
from hybridmpi.engines.mpi.setup import Host, Setup
from hybridmpi.engines.mpi.worker import work
from hybridmpi.engines.outcome import Outcome
from hybridmpi.engines.status import Report
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.learning.accelerator import Accelerator
from hybridmpi.learning.gradients import Gradient, GradientComputer
from hybridmpi.learning.problem import Problem
from hybridmpi.transport.losses import is_loss, lost_ranks, raise_unless_loss, survives_losses

if TYPE_CHECKING:
    from hybridmpi.config import Job

_REPORT_LIMIT_S = 5.0


def train(
    job: "Job | None",
    output: Path,
    *,
    problem: Problem | None = None,
    force: bool = False,
    resume: State | None = None,
    interrupted: Callable[[], str] = lambda: "",
    report: Report = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome | None:
    """Train on all ranks of the world; every rank calls this.

    Args:
        job: The job; rank 0's counts.
        output: The run file, which rank 0 writes.
        problem: What is learned, if that is an object of a script's, which each rank gives.
        force: Replace a run file that is there already.
        resume: The checkpoint to go on from, rank 0's; `output` holds what was recorded until then.
        interrupted: Asked on all ranks now and then; a reason on any of them ends the run with
            status `stopped`.
        report: Told on rank 0 now and then how the run is doing.
        tell: Told on rank 0, once each, what will happen: the memory plan, and shortages.

    Returns:
        On rank 0 how the run ended, on the others None.

    Raises:
        UserError: On all ranks, if the job cannot be run.
        RunFailed: On rank 0, once the run file has been closed as failed, and on workers if the
            server is lost, without a message if it has told its own; the caller is to end the job
            by `failed_job.end_job`, since other ranks may still wait.
    """
    ranks = Ranks(MPI.COMM_WORLD)
    try:
        outcome = _train(ranks, job, output, problem, force, resume, interrupted, report, tell)
    except UserError:
        ranks.free()
        raise
    except MPI.Exception as error:
        raise_unless_loss(error)
        raise RunFailed(_without(lost_ranks(ranks.comm))) from error
    # Where ranks can be lost, the others would wait for one that is lost now.
    if not ends_alone() and (outcome is None or outcome.all_answered):
        ranks.free()
    return outcome


def _train(
    ranks: Ranks,
    job: "Job | None",
    output: Path,
    problem: Problem | None,
    force: bool,
    resume: State | None,
    interrupted: Callable[[], str],
    report: Report,
    tell: Callable[[str], None],
) -> Outcome | None:
    agree(ranks.comm, lambda: _check_world(ranks))
    own_threads = job.run.server_threads if job is not None and ranks.is_server else None
    torch.set_num_threads(own_threads or ranks.threads)
    setup = Setup(ranks, job, resume, problem)
    own = Host(socket.gethostname(), ranks.cores, str(setup.device))
    hosts = ranks.comm.allgather(own)
    if ranks.is_server:
        # What this imports is of no use to a worker, and takes time to load on each of them.
        from hybridmpi.engines.mpi.serve import serve

        for remark in (*setup.share.shortages, setup.describe()):
            tell(remark)
        return serve(setup, output, hosts, force, interrupted, report, tell)
    agree(ranks.comm, lambda: None)  # the server begins, or reads what it goes on from
    agree(ranks.comm, lambda: None)  # it makes the run file
    _work(setup, interrupted)
    return None


def _check_world(ranks: Ranks) -> None:
    if ranks.num_workers < 1:
        raise UserError(
            "there is one rank only, but a run needs a server and at least one worker; start it "
            "with `hybridmpi launch -n 5 ...` or mpirun. If mpirun was asked for more ranks, it "
            "belongs to another MPI than mpi4py uses: see `hybridmpi doctor`"
        )


def _without(lost: list[int]) -> str:
    if 0 in lost:
        return f"the parameter server is lost; {HOW_TO_RESUME}"
    return f"{', '.join(f'rank {rank}' for rank in lost)} was lost before training began"


def _work(setup: Setup, interrupted: Callable[[], str]) -> None:
    job, device = setup.job, setup.device
    accelerator = Accelerator(device, setup.layout.size) if device.type != "cpu" else None
    computer = GradientComputer(
        setup.model,
        setup.problem.loss,
        seed=job.seed,
        precision=job.precision,
        accelerator=accelerator,
    )
    number, samples = setup.ranks.comm.rank, setup.share.samples
    assert samples is not None

    def compute(
        task: Compute, parameters: Tensor, gradient: Tensor, cancelled: Callable[[], bool]
    ) -> Gradient | None:
        batches = samples.batches(end.losses)
        return computer.compute(
            batches,
            number,
            task.batch,
            parameters,
            gradient,
            cancelled=cancelled,
            may_write=end.may_write,
        )

    barrier(setup.ranks.comm)
    setup.ranks.do_train = True
    farewell = Farewell(setup.ranks.direct)
    end = worker_end(
        setup.ranks,
        setup.layout.size,
        setup.choice.transport,
        can_be_cancelled=job.cancels,
        losses=job.losses,
    )
    try:
        delays = setup.delays if number in setup.delayed else None
        work(end, number, compute, delays, job.first_batches.get(number, 0), interrupted)
        end.close()
        if accelerator is not None:
            accelerator.close()
    except (Exception, SystemExit) as error:
        if is_loss(error):  # of the server; a worker hears of no other
            if farewell.has_failed():
                raise RunFailed("") from error
            raise
        if isinstance(error, SystemExit) and survives_losses():
            _leave(number, error)
        failure = f"worker {number} failed:\n{traceback.format_exc()}"
        end.fail(failure, _REPORT_LIMIT_S)
        time.sleep(_REPORT_LIMIT_S)  # the server closes the run file and ends the job
        print(f"Error: {failure}", file=sys.stderr, flush=True)  # or it could not hear of it
        end_job(1)
    farewell.wait()


def _leave(number: int, error: SystemExit) -> NoReturn:
    """End this process as the model asks; the run goes on without it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    print(
        f"worker {number} leaves: SystemExit({error.code!r}) in {place.filename}:{place.lineno}",
        file=sys.stderr,
        flush=True,
    )
    os._exit(error.code if isinstance(error.code, int) else 1)
