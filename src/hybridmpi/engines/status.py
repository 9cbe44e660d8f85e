"""How a run is doing, for whoever watches it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from hybridmpi.core.server import Limits


@dataclass(frozen=True, slots=True)
class Status:
    """A run at one moment.

    Attributes:
        phase: "training", "waiting for workers" (after a limit), or "evaluating".
        time_s: Seconds on the training clock.
        gradients: Pushes so far.
        discarded: Pushes thrown away so far.
        version: Steps so far.
        threshold: The threshold in force.
        buffered: Pushes in the gradient buffer.
        mean_staleness: Of the last step.
        train_loss: Mean mini-batch loss of the last step.
        fraction: How much of the run is done, 0 to 1, by the limit that is nearest.
    """

    phase: str
    time_s: float
    gradients: int
    discarded: int
    version: int
    threshold: int
    buffered: int
    mean_staleness: float
    train_loss: float
    fraction: float

    @property
    def gradients_per_s(self) -> float:
        """Mean rate so far."""
        return self.gradients / self.time_s if self.time_s > 0 else 0.0

    @property
    def left_s(self) -> float:
        """Seconds left if the run goes on as it has."""
        if self.fraction <= 0:
            return math.inf
        return self.time_s * (1 - self.fraction) / self.fraction


Report = Callable[[Status], None]


def fraction_done(limits: Limits, time_s: float, gradients: int, steps: int, samples: int) -> float:
    """Return how much of a run is done, by the limit that is nearest."""
    return min(
        1.0,
        max(
            time_s / limits.time_s,
            gradients / limits.gradients,
            steps / limits.steps,
            samples / limits.samples,
        ),
    )
