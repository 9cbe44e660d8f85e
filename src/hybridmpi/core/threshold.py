"""The threshold: the number of buffered gradients that triggers a step."""

import math

from hybridmpi.core.schedule import Progress, Schedule


def threshold(schedule: Schedule, progress: Progress, active_workers: int) -> int:
    """Return K = clamp(floor(schedule(progress)), 1, active workers).

    The clamp is what keeps the protocol free of deadlock: with `wait` at most K - 1 workers wait,
    so at least one of the active ones computes.
    """
    value = schedule(progress)
    if value >= active_workers:  # also keeps infinity away from floor
        return active_workers
    return max(1, math.floor(value))
