"""What a peer is asked, and what it answers."""

from typing import NamedTuple

LIMIT_S = 300.0  # longest wait inside a peer
LEARNING_RATE = 1e-6
WARM_UP = 2  # rounds that show how many fit into the time asked for


class Question(NamedTuple):
    """One measurement: all workers push for some seconds."""

    size: int  # float32 parameters
    threshold: int  # gradients per step: 1, or the number of workers
    seconds: float


class Answer(NamedTuple):
    """What came of it."""

    gradients_per_s: float
    threshold: int  # that was measured: a peer may know only one


def rounds_within(seconds: float, warm_up_s: float) -> int:
    """Return how many rounds take `seconds`, if the warm-up took `warm_up_s`."""
    return max(WARM_UP, int(seconds * WARM_UP / warm_up_s))
