"""Holm's adjustment of the p values of a family of tests."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def adjust_holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p values adjusted for all tests of the family, in the order given.

    Rejecting those at or below a level keeps the probability of one or more wrong rejections at or
    below that level, however the tests depend on each other. The smallest of m p values is
    multiplied by m, the next by m - 1, and so on; none becomes smaller than the one before it, or
    larger than 1.

    Args:
        p_values: Of all declared tests, shape [m].

    Raises:
        ValueError: If one isn't between 0 and 1.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure, Scandinavian
    Journal of Statistics 6 (scipy has procedures for the false discovery rate only).
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p values are {p.tolist()}, but must be between 0 and 1")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return adjusted
