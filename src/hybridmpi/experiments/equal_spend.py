"""Runs at equal cost: the mean of a metric over gradients, bytes or worker-seconds, not over time.

Runs of one experiment last equally long, but spend different amounts of all else in it. So each is
looked at up to what the one that spent least had spent.
"""

from collections.abc import Iterable

import numpy as np

from hybridmpi.experiments.study import Digest

AXES = {"gradients": "gradients", "bytes_sent": "bytes sent", "worker_seconds": "worker-seconds"}


def common_end(runs: Iterable[Digest], axis: str) -> float:
    """Return how much of `axis` every one of the runs has spent by its last evaluation.

    Returns:
        The smallest amount; 0 without runs, NaN where one's amount is not known.
    """
    spent = [run.evaluations[axis].iloc[-1] for run in runs if len(run.evaluations)]
    return float(np.min(spent)) if spent else 0.0


def mean_up_to(run: Digest, metric: str, axis: str, end: float) -> float:
    """Return the mean of a metric over 0..end of what is spent (trapezoid, linear in between).

    Returns:
        The mean; NaN if `end` is not above 0 or the run has no evaluations.
    """
    spent, values = run.evaluations[axis].to_numpy(float), run.values_of(metric)
    if not end > 0 or not len(spent):
        return float("nan")
    is_before = spent < end
    at_end = np.interp(end, spent, values)
    return float(
        np.trapezoid(np.append(values[is_before], at_end), np.append(spent[is_before], end)) / end
    )
