"""Rank 0's part of a run: the run file, the training, and the evaluation after it."""

import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version as library_version
from pathlib import Path

import numpy as np
import torch
from mpi4py import MPI
from numpy.typing import NDArray

from hybridmpi.checkpoints.file import State, as_damage, without_prefix
from hybridmpi.core.server import ParameterServer
from hybridmpi.engines.checkpoint_facts import check_server
from hybridmpi.engines.evaluation import evaluate_snapshots
from hybridmpi.engines.mpi.agreement import agree, barrier
from hybridmpi.engines.mpi.checkpointing import Checkpointing
from hybridmpi.engines.mpi.ends import server_end
from hybridmpi.engines.mpi.farewell import let_go, tell_failure
from hybridmpi.engines.mpi.lost_workers import LostWorkers
from hybridmpi.engines.mpi.resume import put_parameters, resumed_core
from hybridmpi.engines.mpi.server import Loop
from hybridmpi.engines.mpi.setup import Host, Setup
from hybridmpi.engines.outcome import Outcome
from hybridmpi.engines.provenance import provenance
from hybridmpi.engines.recorder import Recorder
from hybridmpi.engines.server import Server
from hybridmpi.engines.snapshots import Snapshot, SnapshotTaker
from hybridmpi.engines.status import Report
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.learning.update import Update
from hybridmpi.runlog.beginning import read_beginning
from hybridmpi.runlog.writer import RunWriter
from hybridmpi.transport.losses import lost_ranks, survives_losses

_EVALUATION_AFTER_SIGNAL_S = 10.0


def serve(
    setup: Setup,
    output: Path,
    hosts: Sequence[Host],
    force: bool,
    interrupted: Callable[[], str],
    report: Report,
    tell: Callable[[str], None],
) -> Outcome:
    """Make the run file, train, and evaluate.

    Args:
        setup: Of this rank.
        output: The run file.
        hosts: Each rank's.
        force: Replace a run file that is there already.
        interrupted: Asked now and then; a reason ends the run with status `stopped`.
        report: Told now and then how the run is doing.
        tell: Told of workers that are lost.

    Raises:
        UserError: On all ranks, if the run file cannot be made.
        RunFailed: Once the run file has been closed as failed.
    """
    core, free = agree(setup.ranks.comm, lambda: _core(setup))
    recorder = Recorder(agree(setup.ranks.comm, lambda: _create(setup, output, hosts, force)))
    try:
        return _serve(setup, core, free, recorder, interrupted, report, tell)
    except (Exception, SystemExit) as error:
        failure: BaseException = error
        if isinstance(error, UserError):  # the checkpoint to go on from is damaged
            failure = RunFailed(str(error))
        elif not isinstance(error, RunFailed):
            failure = RunFailed(f"the server failed:\n{traceback.format_exc()}")
        recorder.close("failed", error=str(failure))
        if survives_losses():
            lost = {*lost_ranks(setup.ranks.comm), *setup.ranks.watch.ended()}
            tell_failure(setup.ranks.direct, [w for w in range(1, len(hosts)) if w not in lost])
        raise failure from error


def _core(setup: Setup) -> tuple[ParameterServer, tuple[int, ...]]:
    """Return the core, and the workers that it is to release where it goes on."""
    job, num_workers = setup.whole_job, setup.ranks.num_workers
    method, limits = job.as_protocol(), job.limits(setup.share.facts.training_samples)
    if setup.resume is None:
        return ParameterServer(method, limits, range(1, num_workers + 1)), ()
    put_parameters(setup.resume, setup.initial)
    had_others = bool(setup.resume.facts.get("shared_out_anew"))
    with as_damage():  # all of it, before the run file is made anew
        check_server(setup.resume, setup.layout.size, setup.workers_then, had_others=had_others)
        assert setup.optimizer is not None
        update = without_prefix("update", setup.resume.tensors)
        Update(setup.layout, setup.optimizer).resume(update)
        snapshots = without_prefix("snapshot", setup.resume.tensors)
        SnapshotTaker(None, None).resume(State(snapshots, setup.resume.facts["snapshots"]))
    return resumed_core(method, limits, setup.resume, num_workers)


def _create(setup: Setup, output: Path, hosts: Sequence[Host], force: bool) -> RunWriter:
    job, sizes = setup.whole_job, setup.share.facts.shard_sizes
    resumed: dict[str, int] = {}
    rows: Mapping[str, NDArray[np.void]] = {}
    if setup.resume is not None:
        with as_damage():
            version = setup.resume.facts["core"]["version"]
            counts = setup.resume.facts["recorder"]["rows"]
            rows = read_beginning(output, counts, version, setup.problem.described())
        anew = int(setup.was_shared_out_anew)
        resumed = {"resumed_at_version": version, "shared_out_anew": anew}
    workers = [
        (rank, hosts[rank].name, hosts[rank].device, sizes[rank - 1], rank in setup.delayed)
        for rank in range(1, len(hosts))
    ]
    seen = [rows[name]["worker"].max(initial=0) for name in ("gradients", "events") if rows]
    gone = range(len(hosts), max(seen, default=0) + 1)
    workers += [(worker, "", "gone", 0, False) for worker in gone]
    return RunWriter.create(
        output,
        config=job.model_dump(mode="json"),
        attributes=provenance(
            "mpi",
            num_workers=setup.ranks.num_workers,
            training_samples=setup.share.facts.training_samples,
            evaluated_on=job.data.evaluated_on,
            hosts={host.name: host.cores for host in hosts},
        )
        | {
            "torch_threads": setup.ranks.worker_threads,
            "server_threads": torch.get_num_threads(),
            "mpi4py_version": library_version("mpi4py"),
            "transport": setup.choice.transport,
            "mpi_library": MPI.Get_library_version().split("\n")[0].strip("\0 "),
            **resumed,
        },
        layout_json=setup.layout.to_json(),
        size=setup.layout.size,
        workers=workers,
        metrics=setup.problem.described(),
        keep_snapshots=job.run.keep_snapshots,
        force=force or setup.resume is not None,
        rows=rows,
    )


def _serve(
    setup: Setup,
    core: ParameterServer,
    free: tuple[int, ...],
    recorder: Recorder,
    interrupted: Callable[[], str],
    report: Report,
    tell: Callable[[str], None],
) -> Outcome:
    job, ranks = setup.whole_job, setup.ranks
    assert setup.optimizer is not None
    limits = job.limits(setup.share.facts.training_samples)
    barrier(ranks.comm)
    ranks.do_train = True
    end = server_end(ranks, setup.layout.size, setup.choice.transport)
    end.next_parameters().copy_(setup.initial)

    def interrupted_anywhere() -> str:
        return interrupted() or end.interruption()

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
    lost = LostWorkers(
        server,
        end,
        job.faults,
        watch=ranks.watch,
        losses=setup.job.losses,
        can_share_out=not setup.share.shortages,
        tell=tell,
    )
    checkpoints = Checkpointing(
        server,
        end,
        lost,
        job,
        recorder.writer.path,
        ranks.num_workers,
        is_shared_out_anew=setup.was_shared_out_anew,
    )

    def look_for_losses(now_s: float) -> None:
        try:
            lost.look(now_s)
        except RunFailed:  # too few are left
            checkpoints.save(now_s)
            raise

    loop = Loop(
        server,
        end,
        limits=limits,
        patience=ranks.patience(),
        straggler_limit_s=job.run.straggler_limit_s,
        interrupted=interrupted_anywhere,
        report=report,
        start=lambda: checkpoints.start(setup.resume, free),
        look=checkpoints.look,
        look_for_losses=look_for_losses,
    )
    if not loop.serve():
        for worker in core.computing:
            lost.give_up(worker, server.end_s, "it did not answer in time, at the end of the run")
    end.close()
    checkpoints.behind.finish()
    recorder.writer.final(end.parameters.numpy(), core.version)
    recorder.event(server.end_s, "end", 0, core.stop_reason)
    recorder.flush()
    was_interrupted = bool(interrupted_anywhere())
    values = _evaluate(setup, recorder, server, snapshots.taken, interrupted_anywhere, report)
    status = "stopped" if was_interrupted or values is None else "complete"
    recorder.close(status, duration_s=server.end_s, bytes_sent=end.bytes_sent)
    present = [w for w in range(1, ranks.comm.size) if w not in lost.absent]
    let_go(ranks.direct, present, ranks.watch.ended)
    return Outcome(
        recorder.writer.path,
        status,
        core.stop_reason,
        not lost.are_left_alive,
        setup.problem.described()[0],
        values,
        job.data.evaluated_on,
    )


def _evaluate(
    setup: Setup,
    recorder: Recorder,
    server: Server,
    snapshots: Sequence[Snapshot],
    interrupted: Callable[[], str],
    report: Report,
) -> Mapping[str, float] | None:
    """Evaluate the snapshots while all other ranks sleep; after a signal not for long."""
    share = setup.share
    assert share.evaluation is not None
    deadline_s = math.inf

    def go_on(done: int) -> bool:
        nonlocal deadline_s
        report(server.status(server.end_s, "evaluating", done / len(snapshots)))
        if interrupted():
            deadline_s = min(deadline_s, time.perf_counter() + _EVALUATION_AFTER_SIGNAL_S)
        return time.perf_counter() < deadline_s

    torch.set_num_threads(setup.ranks.lent_threads)  # the other ranks are asleep by now
    return evaluate_snapshots(
        snapshots,
        recorder,
        setup.model,
        setup.problem,
        share.evaluation,
        batch_size=setup.evaluation_batch_size,
        training_samples=share.facts.training_samples,
        go_on=go_on,
    )
