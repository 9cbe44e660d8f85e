import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from hybridmpi.experiments.paired import PairedComparison, compare_pairs

METHOD = np.array([0.912, 0.905, 0.918, 0.909, 0.914, 0.911, 0.903, 0.916])
REFERENCE = np.array([0.910, 0.907, 0.915, 0.908, 0.911, 0.912, 0.904, 0.912])

# Thousandths, so that differences stay far above rounding.
pairs = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=8).map(
    lambda counts: np.array(counts).T / 1000
)


def compare(method: list[float], reference: list[float]) -> PairedComparison:
    return compare_pairs(np.array(method, dtype=float), np.array(reference, dtype=float))


def test_mean_and_interval_are_those_worked_by_hand() -> None:
    comparison = compare([11, 22, 33, 44, 55], [10, 20, 30, 40, 50])  # differences 1 to 5
    assert comparison.mean == 3
    # sqrt(2.5 / 5) x 2.776, the 97.5 % quantile with 4 degrees of freedom
    assert comparison.interval() == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=1e-4)


def test_interval_is_scipys() -> None:
    theirs = stats.ttest_rel(METHOD, REFERENCE)
    comparison = compare_pairs(METHOD, REFERENCE)
    assert comparison.interval() == pytest.approx(theirs.confidence_interval(), rel=1e-12)
    assert comparison.interval(0.9) == pytest.approx(theirs.confidence_interval(0.9), rel=1e-12)


def test_variance_ratio_is_below_one_where_pairs_rise_and_fall_together() -> None:
    # variances 2.5 and 10; of the differences 0, -1, -2, -3, -4: 2.5
    assert compare([1, 2, 3, 4, 5], [1, 3, 5, 7, 9]).variance_ratio == pytest.approx(2.5 / 12.5)


def test_variance_ratio_is_above_one_where_pairs_go_against_each_other() -> None:
    assert compare([1, 2, 3], [3, 2, 1]).variance_ratio == pytest.approx(4 / 2)


def test_there_is_no_variance_ratio_where_nothing_varies() -> None:
    # 0.1 is no binary fraction: numpy's variance of three of them is above 0.
    assert compare([0.1, 0.1, 0.1], [0.3, 0.3, 0.3]).variance_ratio is None


def test_constant_difference_has_an_interval_without_width() -> None:
    comparison = compare([0.75, 0.5, 1.0], [0.5, 0.25, 0.75])
    assert comparison.interval() == (0.25, 0.25)
    assert comparison.equivalence_p_value(0.3) == 0
    assert comparison.equivalence_p_value(0.25) == 1


def test_equal_runs_are_identical_and_nothing_is_nan() -> None:
    comparison = compare_pairs(METHOD, METHOD.copy())
    assert comparison.is_identical
    assert comparison.p_value == 1
    assert comparison.interval() == (0, 0)
    assert comparison.variance_ratio == 0
    assert not any(math.isnan(x) for x in dataclasses.astuple(comparison))


def test_equal_means_of_unequal_runs_are_not_identical() -> None:
    assert not compare([1, 2], [2, 1]).is_identical


def test_one_pair_has_neither_interval_nor_evidence() -> None:
    comparison = compare([0.5], [0.5])
    assert comparison.mean == 0
    assert comparison.interval() is None
    assert comparison.variance_ratio is None
    assert comparison.p_value == comparison.equivalence_p_value(1) == 1
    assert not comparison.is_identical


def test_pair_without_a_finite_value_is_missing() -> None:
    comparison = compare([1, math.nan, 3, 9, 5], [0, 1, 1, math.inf, 2])
    assert comparison == dataclasses.replace(compare([1, 3, 5], [0, 1, 2]), num_missing=2)


def test_equal_pairs_beside_a_missing_one_are_not_identical() -> None:
    assert not compare([1, 2, math.nan], [1, 2, 3]).is_identical


def test_comparison_without_any_pair_says_that_nothing_is_known() -> None:
    comparison = compare([math.nan, 1], [1, math.nan])
    assert comparison == PairedComparison(0, 2, None, None, None, 1.0, False)
    assert comparison.interval() is None


@pytest.mark.parametrize(("method", "reference"), [([1, 2], [1]), ([], []), ([[1]], [[1]])])
def test_what_is_not_paired_is_refused(method: list[float], reference: list[float]) -> None:
    with pytest.raises(ValueError, match="one value per seed"):
        compare(method, reference)


@pytest.mark.parametrize(
    ("margin", "p_value"), [(0.005, 0.0008663266165798061), (0.002, 0.15208039712325203)]
)
def test_equivalence_p_value_is_that_of_statsmodels(margin: float, p_value: float) -> None:
    # statsmodels 0.15.0, ttost_paired(METHOD, REFERENCE, -margin, margin)
    comparison = compare_pairs(METHOD, REFERENCE)
    assert comparison.equivalence_p_value(margin) == pytest.approx(p_value, rel=1e-9)


@settings(deadline=None)
@given(pairs, st.floats(0.001, 1))
def test_equivalence_p_value_is_the_larger_of_scipys_one_sided_tests(
    pair: np.ndarray, margin: float
) -> None:
    comparison = compare_pairs(*pair)
    differences = pair[0] - pair[1]
    assume(np.ptp(differences) > 1e-9)  # scipy warns of equal ones
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    assert comparison.equivalence_p_value(margin) == pytest.approx(max(above, below), abs=1e-12)


@settings(deadline=None)
@given(pairs)
def test_swapping_method_and_reference_changes_the_sign_only(pair: np.ndarray) -> None:
    method, reference = pair
    there, back = compare_pairs(method, reference), compare_pairs(reference, method)
    assert back.mean == -there.mean
    assert back.interval() == pytest.approx((-there.interval()[1], -there.interval()[0]))
    assert back.p_value == there.p_value
    assert back.variance_ratio == there.variance_ratio
