"""How long runs take to reach a target."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TimeToTarget:
    """The time to a target over runs that all last the same time T.

    Attributes:
        share: The share of runs that reach it by T.
        restricted_mean_s: The mean of min(time, T), in seconds: runs that don't reach it count as
            T, so it understates the time unless the share is 1, but needs no guess about later.
    """

    share: float
    restricted_mean_s: float


def first_time_at(
    time_s: NDArray[np.float64], values: NDArray[np.float64], target: float, higher_is_better: bool
) -> float:
    """Return the first time on the evaluation grid at which a run is at the target or beyond.

    It is a time of the grid, not interpolated: between two evaluations nothing was measured. So it
    may be late by an interval of the grid, but is never early.

    Args:
        time_s: The evaluation grid, shape [n], seconds.
        values: The metric at these times, shape [n]; NaN is not at the target.
        target: The value to reach.
        higher_is_better: True for accuracy, false for a loss.

    Returns:
        Seconds; infinity if no evaluation is at the target.
    """
    is_reached = values >= target if higher_is_better else values <= target
    return float(time_s[is_reached].min(initial=math.inf))


def time_to_target(first_times_s: NDArray[np.float64], end_s: float) -> TimeToTarget:
    """Summarize when runs reached a target.

    Args:
        first_times_s: Of each run, from `first_time_at`, shape [runs].
        end_s: T, the end of the evaluation grid that the runs share.

    Raises:
        ValueError: If there are no runs.

    Source: Royston and Parmar 2013, Restricted mean survival time, BMC Medical Research
    Methodology 13 (here all runs are watched until T, so it is a plain mean).
    """
    if not len(first_times_s):
        raise ValueError("there are no runs; the time to a target needs at least one")
    return TimeToTarget(
        share=float(np.mean(first_times_s <= end_s)),
        restricted_mean_s=float(np.minimum(first_times_s, end_s).mean()),
    )
