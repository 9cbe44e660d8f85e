"""What every engine does with a push: the core decides, and its instructions are carried out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from torch import Tensor

from hybridmpi.checkpoints.file import State, prefixed, without_prefix
from hybridmpi.core.messages import Accumulate, Discard, Instruction, Push, Release, Step, Stop
from hybridmpi.core.server import Limits, ParameterServer, ServerState
from hybridmpi.engines.recorder import Recorder
from hybridmpi.engines.snapshots import SnapshotTaker
from hybridmpi.engines.status import Status, fraction_done
from hybridmpi.errors import RunFailed
from hybridmpi.learning.update import NoUpdate, Update


class End(Protocol):
    """The server's end of a transport, real or virtual: vectors, and who gets them."""

    @property
    def parameters(self) -> Tensor:
        """The parameters of the version in force, shape [size]."""

    def row(self, row: int, /) -> Tensor:
        """Return a push's vector, shape [size]."""

    def free(self, row: int, /) -> None:
        """Give back a row whose gradient is no longer needed."""

    def next_parameters(self) -> Tensor:
        """Return where to write the next version, shape [size]."""

    def publish(self, version: int, /) -> None:
        """Put the parameters that were written to `next_parameters` in force."""

    def release(self, workers: Sequence[int], /, *, all_wait: bool) -> None:
        """Send the version in force to these workers."""

    def stop(self, workers: Sequence[int], /) -> None:
        """Tell these workers that the run is over."""


def server_state(facts: Mapping[str, Any]) -> ServerState:
    """Return the core's state out of a checkpoint's."""
    from hybridmpi.engines.checkpoint_facts import checked  # pydantic, for a run that goes on

    return checked(ServerState, facts)


class Server:
    """A parameter server: the core, the vectors it speaks of, and the record of the run.

    Attributes:
        core: Decides.
        recorder: Records.
        end_s: When the run ended, on the training clock; 0 before.
        released_s: When each worker was last released.
    """

    def __init__(
        self,
        core: ParameterServer,
        end: End,
        update: Update | NoUpdate,
        *,
        limits: Limits,
        recorder: Recorder,
        snapshots: SnapshotTaker,
        non_finite_limit: int,
    ) -> None:
        """Join the parts of a server.

        Args:
            core: Decides.
            end: Holds gradients and parameters, the initial ones to begin with, and sends them.
            update: Takes the steps.
            limits: The core's.
            recorder: Writes the run file.
            snapshots: Keeps what will be evaluated.
            non_finite_limit: The run fails after this many non-finite gradients in a row.
        """
        self.core = core
        self.recorder = recorder
        self.end_s = 0.0
        self.released_s: dict[int, float] = {}
        self._end = end
        self._update = update
        self._limits = limits
        self._snapshots = snapshots
        self._non_finite_limit = non_finite_limit
        self._stepped_samples = 0
        self._rows: list[int] = []  # those that the next step still needs
        self._has_sum = False  # whether what was accumulated before this run went on is in none

    def start(self) -> None:
        """Publish the initial parameters and release all workers."""
        self._end.publish(0)
        self.carry_out(self.core.start(), 0.0)

    def state(self) -> State:
        """Return what another server needs to go on from here; nobody changes it any more."""
        self.add_up()
        snapshots = self._snapshots.state()
        changing = {
            "parameters": self._end.parameters,
            **prefixed("update", self._update.state()),
        }
        return State(
            {
                **{name: tensor.clone() for name, tensor in changing.items()},
                **prefixed("snapshot", snapshots.tensors),
            },
            {
                "core": asdict(self.core.state()),
                "recorder": self.recorder.state(),
                "snapshots": snapshots.facts,
                "stepped_samples": self._stepped_samples,
            },
        )

    def resume(self, state: State) -> None:
        """Go on where another server was; the core and the parameters do already."""
        self._update.resume(without_prefix("update", state.tensors))
        self._has_sum = bool(state.facts["core"]["pushes"])
        self._snapshots.resume(
            State(without_prefix("snapshot", state.tensors), state.facts["snapshots"])
        )
        self.recorder.resume(state.facts["recorder"])
        self._stepped_samples = state.facts["stepped_samples"]

    def go_on(self, free: tuple[int, ...], now_s: float) -> None:
        """Publish the parameters, after `resume`, and release these workers."""
        self._end.publish(self.core.version)
        self.carry_out(self.core.go_on(free, now_s), now_s)

    def take(self, push: Push, now_s: float) -> None:
        """Take a push that has arrived, at `now_s` on the training clock.

        Its row may be in use until `add_up` or the next step.

        Raises:
            RunFailed: If too many gradients in a row were not finite.
        """
        staleness = self.core.version - push.version
        instructions = self.core.receive(push, now_s)
        self.recorder.push(push, now_s, staleness, instructions)
        self.carry_out(instructions, now_s)

    def lose(self, worker: int, now_s: float, why: str) -> None:
        """Go on without a worker."""
        self.recorder.event(now_s, "lost", worker, why)
        self.carry_out(self.core.lose(worker, now_s), now_s)

    def carry_out(self, instructions: Sequence[Instruction], now_s: float) -> None:
        """Do what the core has decided at `now_s`."""
        for instruction in instructions:
            match instruction:
                case Accumulate(push, weight):
                    self._update.accumulate(self._end.row(push.row), weight, push.samples)
                    self._rows.append(push.row)
                case Step():
                    self._step(instruction, now_s)
                case Release(workers, _, _, all_wait):
                    self.add_up()  # released workers need their rows
                    self._end.release(workers, all_wait=all_wait)
                    self.released_s.update(dict.fromkeys(workers, now_s))
                case Discard(push):
                    self._end.free(push.row)
                    self._check_finite(push)
                case Stop(workers):
                    self._end.stop(workers)
        if self.core.stop_reason and not self.end_s:
            self.end_s = min(now_s, self._limits.time_s)

    def add_up(self) -> bool:
        """Add up the gradients that have been taken, and give back all rows but the first's.

        Returns:
            Whether there was anything to add.
        """
        needed = 0 if self._has_sum else 1
        if len(self._rows) <= needed:
            return False
        self._update.fold()
        self._free(self._rows[needed:])
        del self._rows[needed:]
        return True

    def finish(self) -> None:
        """Snapshot the parameters at the end of the run."""
        self._snapshots.finish(
            self.end_s, self.core.version, self._stepped_samples, self._end.parameters
        )

    def status(self, now_s: float, phase: str = "", fraction: float | None = None) -> Status:
        """Return how the run is doing; `fraction` is that of a phase after training."""
        core, now_s = self.core, self.end_s or now_s
        counts = core.gradients, core.version, core.samples
        return Status(
            phase=phase or ("waiting for workers" if core.stop_reason else "training"),
            time_s=now_s,
            gradients=core.gradients,
            discarded=self.recorder.discarded,
            version=core.version,
            threshold=core.threshold(now_s),
            buffered=core.buffered,
            mean_staleness=self.recorder.recent_staleness,
            train_loss=self.recorder.recent_loss,
            fraction=fraction_done(self._limits, now_s, *counts) if fraction is None else fraction,
        )

    def _step(self, step: Step, now_s: float) -> None:
        end = self._end
        before = end.parameters
        self._snapshots.before_step(now_s, step.version - 1, self._stepped_samples, before)
        self._update.step(before, end.next_parameters(), step.scale, step.learning_rate)
        self._stepped_samples += sum([push.samples for push in step.pushes])
        self._free(self._rows)
        self._rows.clear()
        self._has_sum = False
        end.publish(step.version)
        self._snapshots.after_step(now_s, step.version, self._stepped_samples, end.parameters)
        self.recorder.step(step, now_s)

    def _free(self, rows: Sequence[int]) -> None:
        for row in rows:
            self._end.free(row)

    def _check_finite(self, push: Push) -> None:
        in_a_row = self.recorder.non_finite_in_a_row
        if not push.is_finite and in_a_row >= self._non_finite_limit:
            raise RunFailed(
                f"{in_a_row} gradients in a row held NaN or infinity, the last one from worker "
                f"{push.worker} (batch {push.batch}, version {push.version}, loss {push.loss:g}); "
                "lower optimizer.learning_rate or set optimizer.clip_norm"
            )
