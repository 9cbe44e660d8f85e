"""A method against a reference, paired by seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hybridmpi.experiments.sign_flip import sign_flip_p_value, smallest_p_value


@dataclass(frozen=True)
class PairedComparison:
    """What the pairs say about the difference, method minus reference.

    Attributes:
        num_pairs: Pairs with both values; all that follows is about these.
        num_missing: Declared pairs without one of the values, or where one isn't finite.
        mean: The mean difference; None without pairs.
        standard_error: Of the mean difference; None with fewer than two pairs.
        variance_ratio: Paired over unpaired: var(method - reference) / (var(method) +
            var(reference)). Below 1, pairing by seed made the comparison sharper: as sharp as
            1/ratio times the pairs without pairing. None with fewer than two pairs, or where
            neither the method nor the reference varies (0/0).
        p_value: Of the two-sided sign-flip permutation test.
        is_identical: At least two pairs, none missing, and every difference is exactly 0: a
            statement about these runs, as of two names for one config, not an inference.
    """

    num_pairs: int
    num_missing: int
    mean: float | None
    standard_error: float | None
    variance_ratio: float | None
    p_value: float
    is_identical: bool

    @property
    def smallest_p_value(self) -> float:
        """The smallest p value that this number of pairs can give."""
        return smallest_p_value(self.num_pairs)

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Return Student's t interval of the mean difference; None with fewer than two pairs."""
        if self.mean is None or self.standard_error is None:
            return None
        half = stats.t.ppf((1 + confidence) / 2, self.num_pairs - 1) * self.standard_error
        return float(self.mean - half), float(self.mean + half)

    def equivalence_p_value(self, margin: float) -> float:
        """Return the p value of two one-sided paired t tests: is |true mean| at least `margin`?

        Args:
            margin: Above 0, in the unit of the outcome.

        Returns:
            The larger of both p values; 1 with fewer than two pairs, which show nothing.

        Source: Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15.
        """
        if self.mean is None or self.standard_error is None:
            return 1.0
        room = margin - abs(self.mean)  # to the nearer margin, whose test has the larger p value
        if self.standard_error == 0:
            return 0.0 if room > 0 else 1.0
        return float(stats.t.sf(room / self.standard_error, self.num_pairs - 1))


def compare_pairs(method: NDArray[np.float64], reference: NDArray[np.float64]) -> PairedComparison:
    """Compare a method with a reference by their outcomes for the same seeds.

    A pair with a value that isn't finite (NaN for a run that is missing, or a loss that diverged)
    is counted as missing and left out of the rest.

    Args:
        method: One outcome per declared seed, shape [n].
        reference: The reference's outcomes for the same seeds in the same order, shape [n].

    Raises:
        ValueError: If the shapes differ, or no seeds are declared.
    """
    if method.shape != reference.shape or method.ndim != 1 or not method.size:
        raise ValueError(
            f"method and reference have shapes {method.shape} and {reference.shape}, but must both "
            "hold one value per seed; give NaN for a run that is missing"
        )
    is_pair = np.isfinite(method) & np.isfinite(reference)
    method, reference = method[is_pair], reference[is_pair]
    differences = method - reference
    num_pairs = len(differences)
    num_missing = len(is_pair) - num_pairs
    return PairedComparison(
        num_pairs=num_pairs,
        num_missing=num_missing,
        mean=float(differences.mean()) if num_pairs else None,
        standard_error=_standard_error(differences),
        variance_ratio=_variance_ratio(method, reference),
        p_value=sign_flip_p_value(differences),
        is_identical=num_pairs > 1 and num_missing == 0 and not differences.any(),
    )


def _standard_error(differences: NDArray[np.float64]) -> float | None:
    if len(differences) < 2:
        return None
    return float(differences.std(ddof=1) / np.sqrt(len(differences)))


def _variance_ratio(method: NDArray[np.float64], reference: NDArray[np.float64]) -> float | None:
    # Not by the variances: that of equal values can be above 0 by rounding.
    if len(method) < 2 or np.ptp(method) == np.ptp(reference) == 0:
        return None
    unpaired = method.var(ddof=1) + reference.var(ddof=1)
    return float((method - reference).var(ddof=1) / unpaired)
