"""What only the watcher of a run knows: how fast it goes now, its smoothed loss, the time left."""

import math
from collections import deque

from hybridmpi.engines.status import Status

_WINDOW_S = 5.0
_SMOOTHING = 0.05  # of ten reports a second: the last two seconds count most


class Recent:
    """Follows a run by its reports.

    Attributes:
        loss: The smoothed training loss; None before the first step. NaN and infinity are shown
            at once, and forgotten with the next finite loss.
    """

    def __init__(self) -> None:
        self.loss: float | None = None
        self._version = 0
        self._losses = 0
        self._smooth = 0.0
        self._phase, self._phase_began_s = "", 0.0
        self._marks = deque([(0.0, 0)])  # seconds on the training clock, gradients

    def note(self, status: Status) -> None:
        """Smooth the loss; cheap, for every report."""
        if status.version == self._version:
            return
        self._version = status.version
        self.loss = status.train_loss
        if math.isfinite(status.train_loss):
            self._losses += 1
            weight = max(_SMOOTHING, 1 / self._losses)
            self._smooth += weight * (status.train_loss - self._smooth)
            self.loss = self._smooth

    def gradients_per_s(self, status: Status) -> float:
        """Return the rate over the last seconds; called whenever it is shown."""
        marks = self._marks
        marks.append((status.time_s, status.gradients))
        while len(marks) > 2 and marks[1][0] <= status.time_s - _WINDOW_S:
            marks.popleft()
        (began_s, before), (ended_s, after) = marks[0], marks[-1]
        return (after - before) / (ended_s - began_s) if ended_s > began_s else 0.0

    def left_s(self, status: Status, now_s: float) -> float | None:
        """Return the seconds left if this phase goes on as it has; None where that is unknown.

        Args:
            status: The state of the run.
            now_s: Seconds on any clock that goes on in all phases.
        """
        if status.phase != self._phase:
            self._phase, self._phase_began_s = status.phase, now_s
        is_training = status.phase == "training"
        spent_s = status.time_s if is_training else now_s - self._phase_began_s
        if status.phase == "waiting for workers" or not status.fraction or not spent_s:
            return None
        return spent_s * (1 - status.fraction) / status.fraction
