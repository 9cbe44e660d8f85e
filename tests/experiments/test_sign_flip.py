from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hybridmpi.experiments.sign_flip import (
    MAX_ENUMERATED,
    NUM_DRAWS,
    sign_flip_p_value,
    smallest_p_value,
)

# Correct answers of 10,000: differences of accuracies with many sums that are equal on paper.
counts = st.lists(
    st.tuples(st.integers(9000, 9020), st.integers(9000, 9020)), min_size=1, max_size=8
)


def accuracy_differences(pairs: list[tuple[int, int]]) -> np.ndarray:
    method, reference = np.array(pairs).T / 10_000
    return method - reference


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [
        ([1, 2, 3], 2 / 8),  # only 6 and -6
        ([1, 1, 1, 1, -1], 12 / 32),  # 0, 1, 4 or 5 minus signs: 1 + 5 + 5 + 1
        ([3, -1, 2], 4 / 8),  # 4 and 6, with both signs
        ([5], 1),
        ([1, -1], 1),
        ([0, 0, 0, 0, 0, 0], 1),
        ([], 1),
    ],
)
def test_p_value_is_the_share_of_flips_at_least_as_far_from_zero(
    differences: list[float], p_value: float
) -> None:
    assert sign_flip_p_value(np.array(differences, dtype=float)) == p_value


def test_fishers_count_for_darwins_maize_is_found() -> None:
    # The Design of Experiments, section 21: eighths of an inch, crossed minus self-fertilized.
    darwin = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], dtype=float)
    assert sign_flip_p_value(darwin) == 2 * 863 / 32_768


@pytest.mark.parametrize("num_pairs", [5, 8, 12])
def test_p_value_is_scipys_where_there_are_no_ties(num_pairs: int) -> None:
    differences = np.random.default_rng(num_pairs).normal(0.5, 1, num_pairs)
    test = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p_value(differences) == pytest.approx(test.pvalue, rel=1e-12)


@settings(deadline=None)
@given(counts)
def test_ties_are_counted_as_on_paper(pairs: list[tuple[int, int]]) -> None:
    whole = [method - reference for method, reference in pairs]
    sums = [
        abs(sum(sign * x for sign, x in zip(signs, whole, strict=True)))
        for signs in product((1, -1), repeat=len(whole))
    ]
    share = Fraction(sum(s >= abs(sum(whole)) for s in sums), len(sums))
    assert sign_flip_p_value(accuracy_differences(pairs)) == float(share)


@settings(deadline=None)
@given(counts, st.randoms())
def test_neither_order_nor_side_of_the_pairs_matters(pairs: list[tuple[int, int]], rng) -> None:
    shuffled = rng.sample(pairs, len(pairs))
    swapped = [(reference, method) for method, reference in shuffled]
    p_value = sign_flip_p_value(accuracy_differences(pairs))
    assert sign_flip_p_value(accuracy_differences(shuffled)) == p_value
    assert sign_flip_p_value(accuracy_differences(swapped)) == p_value


@pytest.mark.parametrize(
    ("num_pairs", "p_value"), [(0, 1), (1, 1), (5, 0.0625), (8, 1 / 128), (12, 1 / 2048)]
)
def test_smallest_p_value_is_reached_by_equal_signs(num_pairs: int, p_value: float) -> None:
    assert smallest_p_value(num_pairs) == p_value
    assert sign_flip_p_value(np.arange(1.0, num_pairs + 1)) == p_value


def test_drawn_flips_agree_with_the_enumerated_ones() -> None:
    differences = np.random.default_rng(4).normal(0.4, 1, MAX_ENUMERATED)
    exact = sign_flip_p_value(differences)
    drawn = sign_flip_p_value(np.r_[differences, 0.0])  # a zero changes no sum, only the number
    band = stats.binom.interval(0.999, NUM_DRAWS, exact)
    assert 0.01 < exact < 0.2
    assert band[0] <= drawn * (NUM_DRAWS + 1) - 1 <= band[1]
    assert sign_flip_p_value(np.r_[differences, 0.0]) == drawn


def test_drawn_p_value_is_never_zero() -> None:
    num_pairs = 40
    assert sign_flip_p_value(np.ones(num_pairs)) == smallest_p_value(num_pairs) == 1e-5
