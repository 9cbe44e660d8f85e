"""A recorded run computed again, in its recorded order of arrival, and compared bit for bit."""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version as library_version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridmpi.config import Job
from hybridmpi.core.messages import Accumulate, Discard, Instruction, Push, Step
from hybridmpi.core.server import ParameterServer, ProtocolError
from hybridmpi.engines.learners import Learners
from hybridmpi.engines.provenance import check_same_workers, find_own_code
from hybridmpi.engines.versions import Versions
from hybridmpi.errors import UserError
from hybridmpi.learning.problem import Problem
from hybridmpi.runlog.run import Run


@dataclass
class Verdict:
    """What a replay has found.

    Attributes:
        gradients: Gradients computed again.
        equal_losses: How many had the recorded loss, bit for bit.
        steps: Steps taken again.
        first_difference: What differs first, and at which gradient; empty if nothing does.
        largest_loss_difference: Largest absolute difference of a loss.
        largest_parameter_difference: The same of the final parameters; None if none are recorded.
        other_conditions: Why bits cannot be expected to match here; empty where they must.
    """

    gradients: int = 0
    equal_losses: int = 0
    steps: int = 0
    first_difference: str = ""
    largest_loss_difference: float = 0.0
    largest_parameter_difference: float | None = None
    other_conditions: list[str] = field(default_factory=list)

    @property
    def is_match(self) -> bool:
        """Whether every bit is as recorded."""
        return not self.first_difference


def replay(
    run: Run,
    job: Job,
    *,
    problem: Problem | None = None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Verdict:
    """Compute every gradient of a run again, and take its steps again.

    Args:
        run: The recorded run.
        job: Its job; only where data lie may differ.
        problem: What was learned, if that is an object of a script's.
        report: Told now and then how many gradients of how many are done.

    Raises:
        UserError: If the run has no gradients, or its data or model cannot be had.
    """
    if run.gradients.empty:
        raise UserError(f"'{run.path}' holds no gradients; there is nothing to replay")
    return _Replay(run, job, problem).run(report)


class _Replay:
    def __init__(self, run: Run, job: Job, problem: Problem | None) -> None:
        check_same_workers(run)
        self._run = run
        self._verdict = Verdict(other_conditions=list(other_conditions(run)))
        self._worker_threads = int(run.attributes["torch_threads"])
        self._server_threads = int(run.attributes.get("server_threads", self._worker_threads))
        torch.set_num_threads(self._worker_threads)
        find_own_code(run.attributes)
        num_workers = int(run.attributes["num_workers"])
        has_learned = run.attributes["engine"] == "mpi" or job.simulate.learning
        self._is_fresh = run.attributes["engine"] == "simulate" and job.simulate.fresh_gradients
        self._learners = Learners(job, num_workers, problem) if has_learned else None
        initial = self._learners.initial if self._learners else torch.zeros(0)
        if len(initial) != run.layout["size"]:
            raise UserError(
                f"'{run.path}' has {run.layout['size']} parameters and buffers, but its model has "
                f"{len(initial)} here; give it the same model"
            )
        self._versions = Versions(initial)
        self._uses = run.gradients.version.value_counts().to_dict()
        self._hold(0)
        self._rows = [torch.zeros(len(initial)) for _ in range(2)]
        limits = job.limits(int(run.attributes["training_samples"]))
        changes = run.events[run.events.kind.isin(["lost", "joined"]) & (run.events.worker > 0)]
        self._changes = list(changes.itertuples())
        self._losses = tuple(c.worker if c.kind == "lost" else -c.worker for c in self._changes)
        absent = changes.groupby("worker").kind.first()
        absent = set(absent[absent == "joined"].index)
        present = [w for w in range(1, num_workers + 1) if w not in absent]
        self._core = ParameterServer(job.as_protocol(), limits, present)

    def run(self, report: Callable[[int, int], None]) -> Verdict:
        verdict, recorded = self._verdict, self._run.gradients
        self._core.start()
        for row in recorded.itertuples():
            try:
                self._apply_changes(row.Index)
                if row.version > self._core.version:
                    raise ProtocolError(f"the server is at version {self._core.version}")
                instructions = self._core.receive(self._compute(row), row.time_s)
            except ProtocolError as error:
                self._differ(row, f"it cannot have arrived: {error}")
                break
            is_accepted = not isinstance(instructions[0], Discard)
            if is_accepted != row.accepted:
                self._differ(row, f"recorded accepted {row.accepted}, now {is_accepted}")
            self._carry_out(instructions, row)
            verdict.gradients += 1
            report(verdict.gradients, len(recorded))
        else:
            if verdict.steps < len(self._run.steps):  # the last fell due when a worker was lost
                self._apply_changes(len(recorded))
        self._compare_final()
        return verdict

    def _compute(self, row: Any) -> Push:
        verdict, learners = self._verdict, self._learners
        loss, is_finite = row.loss, True
        if learners is not None:
            parameters = self._versions.newest if self._is_fresh else self._versions[row.version]
            losses = self._losses[: row.assignment]
            gradient = learners.compute(row.worker, row.batch, parameters, self._rows[-1], losses)
            loss, is_finite = gradient.loss, gradient.is_finite
        self._versions.let_go(row.version)
        if bits(loss) == bits(row.loss):
            verdict.equal_losses += 1
        else:
            self._differ(row, f"recorded loss {row.loss!r}, now {loss!r}")
            difference = abs(loss - row.loss)
            verdict.largest_loss_difference = max(verdict.largest_loss_difference, difference)
        return Push(row.worker, row.batch, row.version, 0, loss, row.samples, is_finite=is_finite)

    def _carry_out(self, instructions: Iterable[Instruction], row: Any) -> None:
        learners = self._learners
        for instruction in instructions:
            if isinstance(instruction, Accumulate) and learners is not None:
                push, weight = instruction
                if learners.update.accumulate(self._rows[-1], weight, push.samples):
                    self._rows.reverse()  # the sum stays in this row; the next gradient needs one
                else:
                    learners.update.fold()
            elif isinstance(instruction, Step):
                self._step(instruction, row)

    def _step(self, step: Step, row: Any) -> None:
        if self._learners is not None:
            source, target = self._versions.newest, self._versions.next_vector()
            torch.set_num_threads(self._server_threads)  # a norm's bits depend on their number
            self._learners.update.step(source, target, step.scale, step.learning_rate)
            torch.set_num_threads(self._worker_threads)
        else:
            self._versions.next_vector()
        self._versions.publish(step.version)
        self._hold(step.version)
        self._verdict.steps += 1
        if step.version > len(self._run.steps):
            self._differ(row, f"step {step.version} is not recorded")
            return
        recorded = self._run.steps.iloc[step.version - 1]
        now = (len(step.pushes), step.threshold, step.learning_rate)
        then = (int(recorded.gradients), int(recorded.threshold), float(recorded.learning_rate))
        if now != then:
            self._differ(
                row,
                f"step {step.version} recorded (gradients, threshold, rate) {then}, now {now}",
            )

    def _apply_changes(self, index: int) -> None:
        """Let workers join and leave that did before the push number `index` arrived."""
        while self._changes and self._changes[0].gradients <= index:
            change = self._changes.pop(0)
            if change.kind == "lost":
                self._carry_out(self._core.lose(change.worker, change.time_s), change)
            else:
                self._core.join(change.worker)

    def _hold(self, version: int) -> None:
        if version in self._uses:
            self._versions.hold(version, self._uses[version])

    def _compare_final(self) -> None:
        verdict, final = self._verdict, self._run.final
        if final is None:
            return
        now: Tensor = self._versions.newest
        verdict.largest_parameter_difference = _largest_difference(now.numpy(), final)
        if now.numpy().tobytes() != final.tobytes() and verdict.is_match:
            verdict.first_difference = (
                "all losses are as recorded, but the final parameters are not: largest difference "
                f"{verdict.largest_parameter_difference:g}"
            )

    def _differ(self, row: Any, what: str) -> None:
        if not self._verdict.first_difference:
            number = self._verdict.gradients
            self._verdict.first_difference = (
                f"gradient {number} (worker {row.worker}, at {row.time_s:.6f} s): {what}"
            )


def other_conditions(run: Run) -> Iterable[str]:
    """Yield why this process cannot be expected to compute a run's bits."""
    then = run.attributes.table("library_versions")
    for name in ("torch", "numpy"):
        if (now := library_version(name)) != then.get(name):
            yield f"{name} {now}, recorded with {then.get(name)}"
    instruction_set = torch.backends.cpu.get_cpu_capability()
    if instruction_set != run.attributes["instruction_set"]:
        yield f"{instruction_set} processor, recorded with {run.attributes['instruction_set']}"
    if any(not device.startswith(("cpu", "virtual")) for device in run.workers.device):
        yield "recorded on a GPU"


def _largest_difference(now: NDArray[np.float32], then: NDArray[np.float32]) -> float:
    """Return the largest difference of two vectors; NaN equals NaN, and infinity itself."""
    differs = (now != then) & ~(np.isnan(now) & np.isnan(then))
    return float(np.abs(now[differs].astype(float) - then[differs]).max(initial=0.0))


def bits(value: float) -> bytes:
    """Return a number's bits, in which NaN equals itself."""
    return struct.pack("<d", value)
