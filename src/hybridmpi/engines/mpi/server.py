"""Rank 0 while training: pushes go into the core, and its instructions are carried out."""

import time
from collections.abc import Callable, Sequence

from hybridmpi.core.messages import Accumulate, Discard, Instruction, Push, Release, Step, Stop
from hybridmpi.core.server import Limits, ParameterServer
from hybridmpi.engines.recorder import Recorder
from hybridmpi.engines.snapshots import SnapshotTaker
from hybridmpi.engines.status import Report, Status, fraction_done
from hybridmpi.errors import RunFailed
from hybridmpi.learning.update import Update
from hybridmpi.transport.messages import MessageServer
from hybridmpi.transport.waiting import Patience

_HOUSEKEEPING_S = 0.1


class Server:
    """Drives a parameter server with real messages and real time."""

    def __init__(
        self,
        core: ParameterServer,
        end: MessageServer,
        update: Update,
        *,
        limits: Limits,
        recorder: Recorder,
        snapshots: SnapshotTaker,
        patience: Patience,
        straggler_limit_s: float,
        non_finite_limit: int,
        interrupted: Callable[[], str] = lambda: "",
        report: Report = lambda _: None,
    ) -> None:
        """Join the parts of a server.

        Args:
            core: Decides.
            end: Receives gradients and sends parameters; holds the initial ones.
            update: Takes the steps.
            limits: The core's.
            recorder: Writes the run file.
            snapshots: Keeps what will be evaluated.
            patience: How to wait for pushes.
            straggler_limit_s: How long to wait, at the end, for workers that still compute.
            non_finite_limit: The run fails after this many non-finite gradients in a row.
            interrupted: Asked now and then; a reason ends the run.
            report: Told now and then how the run is doing.
        """
        self._core = core
        self._end = end
        self._update = update
        self._limits = limits
        self._recorder = recorder
        self._snapshots = snapshots
        self._patience = patience
        self._straggler_limit_s = straggler_limit_s
        self._non_finite_limit = non_finite_limit
        self._interrupted = interrupted
        self._report = report
        self._stepped_samples = 0
        self._started_s = 0.0
        self._next_housekeeping_s = 0.0
        self.end_s = 0.0

    def serve(self) -> bool:
        """Train until a limit is reached.

        Returns:
            Whether all workers have heard of the end; if not, some still compute.

        Raises:
            RunFailed: If a worker failed, or too many gradients in a row were not finite.
        """
        self._started_s = time.perf_counter()
        self._end.publish(0)
        self._carry_out(self._core.start(), 0.0)
        while not self._core.is_finished:
            if not self._take_arrivals():
                self._patience.pause()
            if self._now_s() >= self._next_housekeeping_s and not self._keep_house():
                break
        self._snapshots.finish(
            self.end_s, self._core.version, self._stepped_samples, self._end.parameters
        )
        return self._core.is_finished

    def status(self, phase: str = "", fraction: float | None = None) -> Status:
        """Return how the run is doing; `fraction` is that of a phase after training."""
        core, now_s = self._core, self.end_s or self._now_s()
        counts = core.gradients, core.version, core.samples
        return Status(
            phase=phase or ("waiting for workers" if core.stop_reason else "training"),
            time_s=now_s,
            gradients=core.gradients,
            discarded=self._recorder.discarded,
            version=core.version,
            threshold=core.threshold(now_s),
            buffered=core.buffered,
            mean_staleness=self._recorder.recent_staleness,
            train_loss=self._recorder.recent_loss,
            fraction=fraction_done(self._limits, now_s, *counts) if fraction is None else fraction,
        )

    def _now_s(self) -> float:
        return time.perf_counter() - self._started_s

    def _take_arrivals(self) -> bool:
        has_arrived = False
        for push in self._end.arrivals():
            has_arrived = True
            now_s = self._now_s()
            staleness = self._core.version - push.version
            instructions = self._core.receive(push, now_s)
            self._recorder.push(push, now_s, staleness, instructions)
            self._carry_out(instructions, now_s)
        if has_arrived:
            self._patience.reset()
        return has_arrived

    def _carry_out(self, instructions: Sequence[Instruction], now_s: float) -> None:
        for instruction in instructions:
            match instruction:
                case Accumulate(push, weight):
                    self._accumulate(push, weight)
                case Step():
                    self._step(instruction, now_s)
                case Release(workers, _, _, all_wait):
                    self._end.release(workers, all_wait=all_wait)
                case Discard(push):
                    self._end.free(push.row)
                    self._check_finite(push)
                case Stop(workers):
                    self._end.stop(workers)
        if self._core.stop_reason and not self.end_s:
            self.end_s = min(now_s, self._limits.time_s)

    def _accumulate(self, push: Push, weight: float) -> None:
        """Add up a gradient in the row of the step's first, which is free after the step."""
        is_first = self._update.accumulate(self._end.row(push.row), weight, push.samples)
        if not is_first:
            self._end.free(push.row)

    def _step(self, step: Step, now_s: float) -> None:
        end = self._end
        self._snapshots.before_step(now_s, step.version - 1, self._stepped_samples, end.parameters)
        self._update.step(end.parameters, end.next_parameters(), step.scale, step.learning_rate)
        self._stepped_samples += sum([push.samples for push in step.pushes])
        end.free(step.pushes[0].row)
        end.publish(step.version)
        self._snapshots.after_step(now_s, step.version, self._stepped_samples, end.parameters)
        self._recorder.step(step, now_s)

    def _check_finite(self, push: Push) -> None:
        in_a_row = self._recorder.non_finite_in_a_row
        if not push.is_finite and in_a_row >= self._non_finite_limit:
            raise RunFailed(
                f"{in_a_row} gradients in a row held NaN or infinity, the last one from worker "
                f"{push.worker} (batch {push.batch}, version {push.version}, loss {push.loss:g}); "
                "lower optimizer.learning_rate or set optimizer.clip_norm"
            )

    def _keep_house(self) -> bool:
        """Do what is due now and then; say whether to go on."""
        now_s = self._now_s()
        self._next_housekeeping_s = now_s + _HOUSEKEEPING_S
        if failure := self._end.failure():
            raise RunFailed(failure)
        reason = self._interrupted() or ("time limit" if now_s >= self._limits.time_s else "")
        if reason and not self._core.stop_reason:
            self._carry_out(self._core.stop(reason), now_s)
        self._recorder.flush_if_due(now_s)
        self._report(self.status())
        return not (self.end_s and now_s > self.end_s + self._straggler_limit_s)
