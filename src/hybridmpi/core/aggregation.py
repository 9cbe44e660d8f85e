"""How the accumulated gradient becomes the aggregated one."""

import math
from collections.abc import Sequence
from typing import Literal

Aggregation = Literal["mean", "sum", "sqrt"]


def scale(aggregation: Aggregation, samples: Sequence[int]) -> float:
    """Return the factor of the accumulated gradient.

    The accumulated gradient is sum of (n_i / n_1) x gradient_i, with n_i samples behind gradient
    i, each of which is a mean over its samples. `mean` is the mean over all samples, `sum` is K
    times that mean, `sqrt` is sqrt(K) times it (sum / sqrt(K)). The three differ by powers of K in
    the effective learning rate.

    Args:
        aggregation: "mean", "sum" or "sqrt".
        samples: The number of samples behind each gradient, in arrival order.

    Returns:
        The factor; for a single gradient exactly 1.

    Raises:
        ValueError: If there is no gradient.
    """
    count = len(samples)
    if count == 0:
        raise ValueError("no gradients to aggregate; a step needs at least one")
    mean = samples[0] / sum(samples)
    match aggregation:
        case "mean":
            return mean
        case "sum":
            return count * mean
        case "sqrt":
            return math.sqrt(count) * mean
