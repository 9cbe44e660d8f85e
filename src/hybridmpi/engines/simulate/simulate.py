"""A whole simulated run."""

import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from hybridmpi.checkpoints.file import State, as_damage
from hybridmpi.config import Job
from hybridmpi.core.delays import Delays
from hybridmpi.core.messages import Push
from hybridmpi.core.metrics import CLASSIFICATION
from hybridmpi.core.server import ParameterServer
from hybridmpi.engines.evaluation import evaluate_snapshots
from hybridmpi.engines.job_check import check_job
from hybridmpi.engines.learners import Learners
from hybridmpi.engines.outcome import Outcome
from hybridmpi.engines.provenance import provenance
from hybridmpi.engines.recorder import Recorder
from hybridmpi.engines.server import Server, server_state
from hybridmpi.engines.simulate.checkpointing import Checkpointing, check_state
from hybridmpi.engines.simulate.cluster import Cluster
from hybridmpi.engines.simulate.end import VirtualEnd
from hybridmpi.engines.simulate.task import Task
from hybridmpi.engines.simulate.times import NS, ModelledTimes, Times
from hybridmpi.engines.simulate.trace import always, read_trace
from hybridmpi.engines.snapshots import SnapshotTaker
from hybridmpi.engines.status import Report
from hybridmpi.engines.versions import Versions
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.learning.flat import Layout
from hybridmpi.learning.gradients import Gradient
from hybridmpi.learning.update import NoUpdate
from hybridmpi.runlog.beginning import read_beginning
from hybridmpi.runlog.writer import RunWriter

_NOTHING = Gradient(loss=float("nan"), samples=0)  # of a run without learning, or of a late push
_HOUSEKEEPING_S = 0.1
_HEADER_BYTES = 64  # of every message


class Simulation:
    """A job on virtual time."""

    def __init__(
        self,
        job: Job,
        *,
        times: Callable[[Times], Times] = lambda modelled: modelled,
    ) -> None:
        """Load what is needed.

        Args:
            job: The job.
            times: Takes the modelled times and returns those that count.

        Raises:
            UserError: If data, model or trace cannot be had, or a limit cannot be counted.
        """
        section = job.simulate
        torch.set_num_threads(1)  # the same bits, however many cores a machine has
        if section.learning:
            check_job(job)  # loading the data may take long
        self.job = job
        self.learners = Learners(job, section.workers) if section.learning else None
        self._metrics = self.learners.problem.described() if self.learners else CLASSIFICATION
        if self.learners is None and job.run.epoch_limit is not None:
            raise UserError(
                "run.epoch_limit counts passes over a data set, but simulate.learning = false "
                "loads none; set run.gradient_limit instead"
            )
        self._layout = self.learners.model.layout if self.learners else Layout((), 0, 0)
        message_bytes = section.message_bytes or _HEADER_BYTES + 4 * self._layout.size
        self.delays = Delays(job.run.seed, job.delays.fraction, job.delays.min_s, job.delays.max_s)
        modelled = ModelledTimes(
            section, seed=job.run.seed, delays=self.delays, message_bytes=message_bytes
        )
        self.limits = job.limits(self.learners.training_samples if self.learners else 0)
        availability = (
            read_trace(section.trace, section.workers) if section.trace else always(section.workers)
        )
        self._present = availability.present
        initial = self.learners.initial if self.learners else torch.zeros(0)
        self.versions = Versions(initial)
        self.end = VirtualEnd(self.versions, self._layout.size)
        self.cluster = Cluster(
            times(modelled),
            availability,
            num_workers=section.workers,
            samples=self._samples(),
            forget=self.versions.let_go,
            workers_per_host=section.workers_per_host,
            cores_per_host=section.cores_per_host,
            time_limit_s=self.limits.time_s,
        )
        self.end.connect(
            self.cluster,
            message_bytes=message_bytes,
            per_step_ns=round(NS * section.server_per_step_s),
        )

    def run(
        self,
        output: Path,
        *,
        force: bool = False,
        interrupted: Callable[[], str] = lambda: "",
        report: Report = lambda _: None,
        attributes: Mapping[str, str | int | float] | None = None,
        resume: State | None = None,
    ) -> Outcome:
        """Train, evaluate, and write the run file.

        Args:
            output: The run file.
            force: Replace a file that is there already.
            resume: The checkpoint to go on from; `output` holds what was recorded until then.
            interrupted: Asked now and then; a reason ends the run with status `stopped`.
            report: Told now and then how the run is doing.
            attributes: What else the run file is to say.

        Raises:
            UserError: If the run file or a checkpoint cannot be written there, or the run cannot go
                on from this checkpoint with this run file.
            RunFailed: If too many gradients in a row were not finite.
        """
        writer = (
            self._continue(output, resume)
            if resume is not None
            else self._create(output, force, attributes or {})
        )
        recorder = Recorder(writer)
        try:
            return self._run(output, recorder, interrupted, report, resume)
        except Exception as error:
            if resume is None or isinstance(error, (RunFailed, UserError)):
                recorder.close("failed", error=str(error))
                raise
            failure = (
                "the run failed after it had gone on from a checkpoint, which may be damaged:\n"
                + traceback.format_exc()
            )
            recorder.close("failed", error=failure)
            raise RunFailed(failure) from error

    def _run(
        self,
        output: Path,
        recorder: Recorder,
        interrupted: Callable[[], str],
        report: Report,
        resume: State | None,
    ) -> Outcome:
        job, learners = self.job, self.learners
        core = ParameterServer(job.as_protocol(), self.limits, self._present)
        if resume is not None:
            with as_damage():
                state = server_state(resume.facts["core"])
            core = ParameterServer.resumed(job.as_protocol(), self.limits, state)
        snapshots = SnapshotTaker(job.evaluation.every_s, job.evaluation.every_steps)
        server = Server(
            core,
            self.end,
            learners.update if learners else NoUpdate(),
            limits=self.limits,
            recorder=recorder,
            snapshots=snapshots,
            non_finite_limit=job.run.non_finite_limit,
        )
        checkpoints = Checkpointing(server, self.end, self.cluster, self.versions, job, output)
        checkpoints.start(resume)
        self._serve(server, checkpoints, interrupted, report)
        server.finish()
        report(server.status(server.end_s, "training"))
        recorder.event(server.end_s, "end", 0, core.stop_reason)
        recorder.flush()
        recorder.writer.final(self.end.parameters.numpy(), core.version)
        is_whole, values = not interrupted(), None
        if learners is not None:
            values = evaluate_snapshots(
                snapshots.taken,
                recorder,
                learners.model,
                learners.problem,
                learners.evaluation,
                batch_size=learners.evaluation_batch_size,
                training_samples=learners.training_samples,
                go_on=self._go_on(server, len(snapshots.taken), interrupted, report),
            )
            is_whole = is_whole and values is not None
        status = "complete" if is_whole else "stopped"
        recorder.close(status, duration_s=server.end_s, bytes_sent=self.end.bytes_sent)
        metric, evaluated_on = self._metrics[0], job.data.evaluated_on
        return Outcome(output, status, core.stop_reason, True, metric, values, evaluated_on)

    def _serve(
        self,
        server: Server,
        checkpoints: Checkpointing,
        interrupted: Callable[[], str],
        report: Report,
    ) -> None:
        """Let everything happen, in the order of virtual time."""
        core, end, cluster = server.core, self.end, self.cluster
        per_gradient_ns = round(NS * self.job.simulate.server_per_gradient_s)
        next_housekeeping_s = 0.0
        for event in cluster.events():
            now_ns = max(cluster.now_ns, end.busy_until_ns)
            end.busy_until_ns = now_ns
            now_s = now_ns / NS
            if isinstance(event, Task):
                end.busy_until_ns += per_gradient_ns
                self._arrive(server, event, now_s)
                server.recorder.served((end.busy_until_ns - now_ns) / NS)
            elif event is None:
                server.carry_out(core.stop("time limit"), now_s)
            elif event.joins:
                server.recorder.event(now_s, "joined", event.worker)
                server.carry_out(core.join(event.worker), now_s)
            else:
                cluster.lose(event.worker)
                server.recorder.event(now_s, "lost", event.worker)
                server.carry_out(core.lose(event.worker, now_s), now_s)
            if core.is_finished:
                break
            if not core.stop_reason:
                checkpoints.look(now_s)
            if time.monotonic() >= next_housekeeping_s:
                next_housekeeping_s = time.monotonic() + _HOUSEKEEPING_S
                server.recorder.flush_if_due(time.monotonic())
                report(server.status(now_s))
                if not core.stop_reason and (reason := interrupted()):
                    checkpoints.look(now_s, reason)
                    server.carry_out(core.stop(reason), now_s)

    def _arrive(self, server: Server, task: Task, now_s: float) -> None:
        """Compute the gradient of a push now that it arrives, and hand it to the server."""
        row, gradient = self.end.take_row(), _NOTHING
        is_late = bool(server.core.stop_reason) or now_s >= self.limits.time_s
        if self.learners is not None and not is_late:
            is_fresh = self.job.simulate.fresh_gradients
            parameters = self.versions.newest if is_fresh else self.versions[task.version]
            gradient = self.learners.compute(task.worker, task.batch, parameters, self.end.row(row))
        self.versions.let_go(task.version)
        push = Push(
            task.worker,
            task.batch,
            task.version,
            row,
            gradient.loss,
            task.samples,
            task.compute_ns / NS,
            task.wait_ns / NS,
            gradient.is_finite,
        )
        server.take(push, now_s)
        server.add_up()

    def _samples(self) -> Callable[[int, int], int]:
        """Return the size of a worker's batch."""
        size = self.job.data.batch_size
        epochs = self.learners.epochs if self.learners else ()

        def samples(worker: int, batch: int) -> int:
            epoch = epochs[worker - 1]
            return epoch.samples(batch % epoch.batches)

        return samples if epochs else lambda _worker, _batch: size

    def _continue(self, output: Path, state: State) -> RunWriter:
        """Make the run file anew, with what had been recorded until the checkpoint.

        Raises:
            UserError: If the checkpoint is damaged; the old run file is left as it is.
        """
        check_state(state, self.job, self._layout.size)
        counts, version = state.facts["recorder"]["rows"], state.facts["core"]["version"]
        beginning = read_beginning(output, counts, version, self._metrics)
        return self._create(output, True, {"resumed_at_version": version}, beginning)

    def _create(
        self,
        output: Path,
        force: bool,
        attributes: Mapping[str, str | int | float],
        rows: Mapping[str, NDArray[np.void]] = MappingProxyType({}),
    ) -> RunWriter:
        section, learners = self.job.simulate, self.learners
        delayed = self.delays.delayed_workers(section.workers)
        per_host = section.workers_per_host or 1
        sizes = learners.shard_sizes if learners else [0] * section.workers
        hosts = [f"host{i // per_host + 1}" for i in range(section.workers)]
        return RunWriter.create(
            output,
            config=self.job.model_dump(mode="json"),
            attributes={
                **provenance(
                    "simulate",
                    num_workers=section.workers,
                    training_samples=learners.training_samples if learners else 0,
                    evaluated_on=self.job.data.evaluated_on,
                ),
                **attributes,
            },
            layout_json=self._layout.to_json(),
            size=self._layout.size,
            workers=[
                (i + 1, hosts[i], "virtual", sizes[i], i + 1 in delayed)
                for i in range(section.workers)
            ],
            metrics=self._metrics,
            keep_snapshots=self.job.run.keep_snapshots,
            force=force,
            rows=rows,
        )

    @staticmethod
    def _go_on(
        server: Server, count: int, interrupted: Callable[[], str], report: Report
    ) -> Callable[[int], bool]:
        def go_on(done: int) -> bool:
            report(server.status(server.end_s, "evaluating", done / count))
            return not interrupted()

        return go_on
