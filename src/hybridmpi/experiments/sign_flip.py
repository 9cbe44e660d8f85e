"""The sign-flip permutation test: could the method as well have been the reference?"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MAX_ENUMERATED = 20  # pairs; 2^20 flips take some ten milliseconds
NUM_DRAWS = 99_999
SEED = 0
# Sums that are equal on paper differ by rounding: accuracies are multiples of 1/test images. The
# tolerance of scipy's own comparison is relative to the observed sum, so it misses such ties where
# that sum is small, and its p value is then too small.
TIE = 1e-9  # of the sum of the absolute differences


def sign_flip_p_value(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p value of the sign-flip permutation test of the mean.

    If the method makes no difference, the two values of a pair are exchangeable, and each
    difference is as likely to have the other sign. The p value is the share of the 2^n flips whose
    mean is at least as far from 0 as the observed one. It is exact: under that hypothesis it is
    at most x with a probability of at most x, whatever the distribution. With more than
    `MAX_ENUMERATED` pairs, `NUM_DRAWS` flips are drawn with a fixed seed, and the observed one is
    counted as a further one, which keeps the p value valid.

    Args:
        differences: Method minus reference, one per pair, finite, shape [n].

    Returns:
        The p value; 1 if all differences are 0 or there are none.

    Source: Fisher 1935, The Design of Experiments, section 21; for the draws Phipson and Smyth
    2010, Permutation p-values should never be zero.
    """
    bar = abs(differences.sum()) - TIE * np.abs(differences).sum()
    if len(differences) > MAX_ENUMERATED:
        return _drawn_p_value(differences, bar)
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate((sums + difference, sums - difference))
    return float(np.mean(np.abs(sums) >= bar))


def smallest_p_value(num_pairs: int) -> float:
    """Return the smallest p value that the test can give for this number of pairs.

    It is 2/2^n, since the observed signs and their opposites are always as far from 0.
    """
    if num_pairs > MAX_ENUMERATED:
        return 1 / (NUM_DRAWS + 1)
    return min(1.0, 2.0 ** (1 - num_pairs))


def _drawn_p_value(differences: NDArray[np.float64], bar: float) -> float:
    def is_as_far(flipped: NDArray[np.float64], axis: int) -> NDArray[np.bool_]:
        sums: NDArray[np.float64] = flipped.sum(axis)
        return np.abs(sums) >= bar

    test = stats.permutation_test(
        (differences,),
        is_as_far,
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=NUM_DRAWS,
        batch=10_000,
        rng=SEED,
    )
    return float(test.pvalue)
