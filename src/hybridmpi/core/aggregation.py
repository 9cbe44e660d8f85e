"""How the buffered gradients become one: the weight of each in their sum."""

import math
from collections.abc import Sequence
from typing import Literal

Aggregation = Literal["mean", "sum", "sqrt"]


def weights(
    aggregation: Aggregation, samples: Sequence[int], damping: Sequence[float]
) -> tuple[float, ...]:
    """Return the weights w of aggregated = sum of w_i x gradient_i.

    A gradient is the mean over its own samples, so the mean of K gradients weights each by its
    samples; `sum` is K times that mean, `sqrt` is sqrt(K) times it (sum / sqrt(K)). The three
    differ by powers of K in the effective learning rate.

    Args:
        aggregation: "mean", "sum" or "sqrt".
        samples: The number of samples behind each gradient.
        damping: The factor of each gradient for its staleness, 1 where nothing is damped.

    Returns:
        One weight per gradient, in the same order. A single undamped gradient weighs exactly 1.

    Raises:
        ValueError: If there is no gradient.
    """
    count = len(samples)
    if count == 0:
        raise ValueError("no gradients to aggregate; a step needs at least one")
    factor = {"mean": 1.0, "sum": float(count), "sqrt": math.sqrt(count)}[aggregation]
    total = sum(samples)
    return tuple(d * (factor * n / total) for n, d in zip(samples, damping, strict=True))
