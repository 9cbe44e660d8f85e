"""Snapshots: the parameters that were in force at the times of the evaluation grid."""

import math
from dataclasses import dataclass

from torch import Tensor

from hybridmpi.checkpoints.file import State


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Parameters to be evaluated later, outside the training clock.

    Attributes:
        time_s: When they were in force, seconds on the training clock.
        version: Their version.
        samples: Samples in the steps that made the version.
        parameters: A copy, shape [size]; snapshots of one version share it.
    """

    time_s: float
    version: int
    samples: int
    parameters: Tensor


class SnapshotTaker:
    """Takes snapshots lazily: a version is copied just before the step that replaces it.

    The grid is 0, every_s, 2 every_s, ... up to the end of the run, both ends included.
    """

    def __init__(self, every_s: float | None, every_steps: int | None) -> None:
        self.taken: list[Snapshot] = []
        self._every_s = every_s
        self._every_steps = every_steps
        self._points = 0  # of the grid in time that have been taken
        self._next_s = 0.0  # the next point; without `every_s` there is only the beginning

    def before_step(self, now_s: float, version: int, samples: int, parameters: Tensor) -> None:
        """Take what is due before `version` is replaced at `now_s`."""
        while self._next_s <= now_s:
            self._take(self._next_s, version, samples, parameters)
            self._points += 1
            self._next_s = self._time_of_next_point()

    def after_step(self, now_s: float, version: int, samples: int, parameters: Tensor) -> None:
        """Take `version` if it is due by the number of steps."""
        if self._every_steps is not None and version % self._every_steps == 0:
            self._take(now_s, version, samples, parameters)

    def finish(self, end_s: float, version: int, samples: int, parameters: Tensor) -> None:
        """Take what is due up to the end of the run, and the end itself."""
        self.before_step(end_s, version, samples, parameters)
        if self.taken[-1].time_s < end_s:
            self._take(end_s, version, samples, parameters)

    def state(self) -> State:
        """Return what another taker needs to go on from here; tensors are not copied."""
        taken = [(each.time_s, each.version, each.samples) for each in self.taken]
        tensors = {str(each.version): each.parameters for each in self.taken}
        return State(tensors, {"points": self._points, "taken": taken})

    def resume(self, state: State) -> None:
        """Go on where another taker was."""
        self._points = state.facts["points"]
        self._next_s = self._time_of_next_point()
        self.taken = [
            Snapshot(time_s, version, samples, state.tensors[str(version)])
            for time_s, version, samples in state.facts["taken"]
        ]

    def _time_of_next_point(self) -> float:
        if not self._points:
            return 0.0
        return math.inf if self._every_s is None else self._points * self._every_s

    def _take(self, time_s: float, version: int, samples: int, parameters: Tensor) -> None:
        last = self.taken[-1] if self.taken else None
        kept = last.parameters if last and last.version == version else parameters.clone()
        self.taken.append(Snapshot(time_s, version, samples, kept))
