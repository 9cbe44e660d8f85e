"""2,000 synthetic experiments in which no method differs from the reference.

Each is a family of three methods and one reference, which share the effect of the seed. How often
the statistics are wrong is compared with what the binomial distribution allows 2,000 experiments.
"""

import numpy as np
import pytest
from scipy import stats

from hybridmpi.experiments.paired import PairedComparison, compare_pairs
from hybridmpi.experiments.sign_flip import sign_flip_p_value
from hybridmpi.experiments.verdict import decide

NUM_EXPERIMENTS = 2000
NUM_METHODS = 3
PAIRS = (5, 8, 12)

Family = dict[str, PairedComparison]


def outcomes(num_pairs: int) -> np.ndarray:
    """Draw outcomes of the reference and the methods, shape [experiment, 1 + method, pair]."""
    rng = np.random.default_rng(num_pairs)
    seeds = rng.normal(0, 2, (NUM_EXPERIMENTS, 1, num_pairs))
    return 70 + seeds + rng.normal(0, 1, (NUM_EXPERIMENTS, 1 + NUM_METHODS, num_pairs))


@pytest.fixture(scope="module")
def experiments() -> dict[int, list[Family]]:
    """Compare every method of every experiment with its reference, by number of pairs."""
    return {
        num_pairs: [
            {str(i): compare_pairs(method, reference) for i, method in enumerate(methods)}
            for reference, *methods in outcomes(num_pairs)
        ]
        for num_pairs in PAIRS
    }


def is_in_band(count: int, probability: float) -> bool:
    low, high = stats.binom.interval(0.99, NUM_EXPERIMENTS, probability)
    return bool(low <= count <= high)


def count_covering(intervals: list[tuple[float, float]]) -> int:
    return sum(low <= 0 <= high for low, high in intervals)


def attainable_level(num_pairs: int) -> float:
    """Return the largest probability of p <= 0.05 that 2^n flips, in pairs, can make up."""
    return np.floor(0.05 * 2 ** (num_pairs - 1)) / 2 ** (num_pairs - 1)


@pytest.mark.parametrize("num_pairs", PAIRS)
def test_interval_covers_the_truth_in_95_percent(experiments, num_pairs: int) -> None:
    intervals = [family["0"].interval() for family in experiments[num_pairs]]
    assert is_in_band(count_covering(intervals), 0.95)


@pytest.mark.parametrize("num_pairs", PAIRS)
def test_normal_quantiles_instead_of_students_would_be_noticed(experiments, num_pairs) -> None:
    firsts = [family["0"] for family in experiments[num_pairs]]
    halves = [1.96 * first.standard_error for first in firsts]
    intervals = [(c.mean - half, c.mean + half) for c, half in zip(firsts, halves, strict=True)]
    assert not is_in_band(count_covering(intervals), 0.95)


@pytest.mark.parametrize("num_pairs", PAIRS)
def test_leaving_the_pairing_out_would_be_noticed(num_pairs: int) -> None:
    drawn = outcomes(num_pairs)
    unpaired = stats.ttest_ind(drawn[:, 1], drawn[:, 0], axis=1).confidence_interval()
    assert not is_in_band(count_covering(list(zip(*unpaired, strict=True))), 0.95)


@pytest.mark.parametrize("num_pairs", PAIRS)
def test_exact_test_rejects_at_most_5_percent(experiments, num_pairs: int) -> None:
    level = attainable_level(num_pairs)
    rejected = sum(family["0"].p_value <= 0.05 for family in experiments[num_pairs])
    assert level <= 0.05
    assert is_in_band(rejected, level)


def test_exact_test_keeps_its_level_with_heavy_tails() -> None:
    differences = np.random.default_rng(0).standard_cauchy((NUM_EXPERIMENTS, 8))
    rejected = sum(sign_flip_p_value(each) <= 0.05 for each in differences)
    assert is_in_band(rejected, attainable_level(8))


@pytest.mark.parametrize("num_pairs", PAIRS)
def test_a_family_has_a_wrong_difference_in_at_most_5_percent(experiments, num_pairs: int) -> None:
    wrong = sum(
        any(verdict.decision in {"better", "worse"} for verdict in verdicts.values())
        for verdicts in (decide(family, True, margin=1.0) for family in experiments[num_pairs])
    )
    assert wrong <= stats.binom.ppf(0.99, NUM_EXPERIMENTS, 0.05)
    assert (wrong > 0) == (num_pairs > 5)  # 5 pairs get no verdict


def test_leaving_holm_out_would_be_noticed(experiments) -> None:
    wrong = sum(
        any(comparison.p_value <= 0.05 for comparison in family.values())
        for family in experiments[12]
    )
    assert wrong > stats.binom.ppf(0.99, NUM_EXPERIMENTS, 0.05)


def test_difference_of_just_the_margin_is_called_equivalent_in_5_percent() -> None:
    margin = 10.0  # so many standard errors that the other margin plays no part
    comparisons = [compare_pairs(drawn[1] + margin, drawn[0]) for drawn in outcomes(8)]
    wrong = sum(comparison.equivalence_p_value(margin) <= 0.05 for comparison in comparisons)
    assert is_in_band(wrong, 0.05)
