"""A whole training run under MPI, as each rank sees it."""

import hashlib
import math
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import version as library_version
from pathlib import Path

import torch
from mpi4py import MPI
from torch import Tensor

from hybridmpi.config import Job
from hybridmpi.core.server import ParameterServer
from hybridmpi.core.worker import Compute
from hybridmpi.engines.evaluation import evaluate_snapshots
from hybridmpi.engines.mpi.agreement import agree, barrier
from hybridmpi.engines.mpi.ends import server_end, worker_end
from hybridmpi.engines.mpi.ranks import Ranks
from hybridmpi.engines.mpi.server import Loop
from hybridmpi.engines.mpi.setup import Setup
from hybridmpi.engines.mpi.worker import work
from hybridmpi.engines.outcome import Outcome
from hybridmpi.engines.provenance import provenance
from hybridmpi.engines.recorder import Recorder
from hybridmpi.engines.server import Server
from hybridmpi.engines.snapshots import Snapshot, SnapshotTaker
from hybridmpi.engines.status import Report
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.learning.gradients import Gradient, GradientComputer
from hybridmpi.learning.update import Update
from hybridmpi.runlog.writer import RunWriter

_REPORT_LIMIT_S = 5.0
_EVALUATION_AFTER_SIGNAL_S = 10.0


def train(
    job: Job,
    output: Path,
    *,
    force: bool = False,
    interrupted: Callable[[], str] = lambda: "",
    report: Report = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome | None:
    """Train on all ranks of the world; every rank calls this.

    Args:
        job: The job, the same on all ranks.
        output: The run file, which rank 0 writes.
        force: Replace a run file that is there already.
        interrupted: Asked on rank 0 now and then; a reason ends the run with status `stopped`.
        report: Told on rank 0 now and then how the run is doing.
        tell: Told on rank 0, once each, what will happen: the memory plan.

    Returns:
        On rank 0 how the run ended, on the others None.

    Raises:
        UserError: On all ranks, if the job cannot be run.
        RunFailed: On rank 0, once the run file has been closed as failed; the caller is to end
            the job with MPI's Abort, since other ranks may still wait.
    """
    ranks = Ranks(MPI.COMM_WORLD)
    try:
        outcome = _train(ranks, job, output, force, interrupted, report, tell)
    except UserError:
        ranks.free()
        raise
    if outcome is None or outcome.all_answered:
        ranks.free()
    return outcome


def _train(
    ranks: Ranks,
    job: Job,
    output: Path,
    force: bool,
    interrupted: Callable[[], str],
    report: Report,
    tell: Callable[[str], None],
) -> Outcome | None:
    agree(ranks.comm, lambda: _check_world(ranks, job))
    torch.set_num_threads(ranks.threads)
    setup = Setup(ranks, job)
    hosts = ranks.comm.allgather((socket.gethostname(), ranks.cores))
    if ranks.is_server:
        tell(setup.describe())
    writer = agree(
        ranks.comm, lambda: _create(setup, output, hosts, force) if ranks.is_server else None
    )
    if writer is None:
        _work(setup)
        return None
    recorder = Recorder(writer)
    try:
        return _serve(setup, recorder, interrupted, report)
    except Exception as error:
        failure = error
        if not isinstance(error, RunFailed):
            failure = RunFailed(f"the server failed:\n{traceback.format_exc()}")
        recorder.close("failed", error=str(failure))
        raise failure from error


def _check_world(ranks: Ranks, job: Job) -> None:
    if ranks.num_workers < 1:
        raise UserError(
            "there is one rank only, but a run needs a server and at least one worker; start it "
            "with `hybridmpi launch -n 5 ...` or mpirun. If mpirun was asked for more ranks, it "
            "belongs to another MPI than mpi4py uses: see `hybridmpi doctor`"
        )
    digests = ranks.comm.allgather(hashlib.sha256(job.model_dump_json().encode()).hexdigest())
    if len(set(digests)) > 1:
        different = next(rank for rank, digest in enumerate(digests) if digest != digests[0])
        raise UserError(
            f"rank {different} has another job than rank 0; give all ranks the same job file "
            "and the same --set options"
        )


def _create(setup: Setup, output: Path, hosts: list[tuple[str, int]], force: bool) -> RunWriter:
    job, sizes = setup.job, setup.share.facts.shard_sizes
    workers = [
        (rank, hosts[rank][0], "cpu", sizes[rank - 1], rank in setup.delayed)
        for rank in range(1, len(hosts))
    ]
    return RunWriter.create(
        output,
        config=job.model_dump(mode="json"),
        attributes=provenance(
            "mpi",
            num_workers=setup.ranks.num_workers,
            training_samples=setup.share.facts.training_samples,
            evaluated_on=job.data.evaluated_on,
            hosts=dict(hosts),
        )
        | {
            "mpi4py_version": library_version("mpi4py"),
            "transport": setup.choice.transport,
            "mpi_library": MPI.Get_library_version().split("\n")[0].strip("\0 "),
        },
        layout_json=setup.layout.to_json(),
        size=setup.layout.size,
        workers=workers,
        keep_snapshots=job.run.keep_snapshots,
        force=force,
    )


def _serve(
    setup: Setup,
    recorder: Recorder,
    interrupted: Callable[[], str],
    report: Report,
) -> Outcome:
    job, ranks = setup.job, setup.ranks
    limits = job.limits(setup.share.facts.training_samples)
    core = ParameterServer(job.as_protocol(), limits, range(1, ranks.num_workers + 1))
    barrier(ranks.comm)
    end = server_end(ranks, setup.layout.size, setup.choice.transport)
    end.next_parameters().copy_(setup.initial)
    snapshots = SnapshotTaker(job.evaluation.every_s, job.evaluation.every_steps)
    server = Server(
        core,
        end,
        Update(setup.layout, setup.optimizer),
        limits=limits,
        recorder=recorder,
        snapshots=snapshots,
        non_finite_limit=job.run.non_finite_limit,
    )
    loop = Loop(
        server,
        end,
        limits=limits,
        patience=ranks.patience(),
        straggler_limit_s=job.run.straggler_limit_s,
        interrupted=interrupted,
        report=report,
    )
    if not loop.serve():
        recorder.event(server.end_s, "lost", 0, "some workers did not answer in time")
    end.close()
    recorder.writer.final(end.parameters.numpy(), core.version)
    recorder.event(server.end_s, "end", 0, core.stop_reason)
    recorder.flush()
    status = "stopped" if interrupted() else "complete"
    accuracy = _evaluate(setup, recorder, server, snapshots.taken, interrupted, report)
    recorder.close(status, duration_s=server.end_s, bytes_sent=end.bytes_sent)
    if core.is_finished:
        barrier(ranks.comm)
        end.free_memory()
    return Outcome(
        recorder.writer.path,
        status,
        core.stop_reason,
        core.is_finished,
        accuracy,
        job.data.evaluated_on,
    )


def _evaluate(
    setup: Setup,
    recorder: Recorder,
    server: Server,
    snapshots: Sequence[Snapshot],
    interrupted: Callable[[], str],
    report: Report,
) -> float | None:
    """Evaluate the snapshots, on all of the server's cores; after a signal not for long."""
    share = setup.share
    assert share.evaluation is not None
    deadline_s = math.inf

    def go_on(done: int) -> bool:
        nonlocal deadline_s
        report(server.status(server.end_s, "evaluating", done / len(snapshots)))
        if interrupted():
            deadline_s = min(deadline_s, time.perf_counter() + _EVALUATION_AFTER_SIGNAL_S)
        return time.perf_counter() < deadline_s

    torch.set_num_threads(setup.ranks.cores)  # the other ranks are asleep by now
    return evaluate_snapshots(
        snapshots,
        recorder,
        setup.model,
        share.evaluation,
        normalisation=(share.facts.mean, share.facts.std),
        training_samples=share.facts.training_samples,
        go_on=go_on,
    )


def _work(setup: Setup) -> None:
    computer = GradientComputer(setup.model, seed=setup.job.run.seed)
    number, batches = setup.ranks.comm.rank, setup.share.batches
    assert batches is not None

    def compute(
        task: Compute, parameters: Tensor, gradient: Tensor, cancelled: Callable[[], bool]
    ) -> Gradient | None:
        return computer.compute(
            batches, number, task.batch, parameters, gradient, cancelled=cancelled
        )

    comm = setup.ranks.comm
    barrier(comm)
    end = worker_end(
        setup.ranks,
        setup.layout.size,
        setup.choice.transport,
        can_be_cancelled=setup.job.method.cancels,
    )
    try:
        work(end, number, compute, setup.delays if number in setup.delayed else None)
        end.close()
    except Exception:
        failure = f"worker {number} failed:\n{traceback.format_exc()}"
        end.fail(failure, _REPORT_LIMIT_S)
        time.sleep(_REPORT_LIMIT_S)  # the server closes the run file and ends the job
        print(f"Error: {failure}", file=sys.stderr, flush=True)  # or it could not hear of it
        MPI.COMM_WORLD.Abort(1)
    barrier(comm)
    end.free_memory()
