import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridmpi.experiments.holm import adjust_holm

p_value_lists = st.lists(st.floats(0, 1), max_size=12)


def test_smallest_is_multiplied_by_the_number_of_tests_and_the_next_by_one_less() -> None:
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, and 1 x 0.04, which may not be below the one before.
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_adjusted_p_values_are_those_of_statsmodels() -> None:
    # statsmodels 0.15.0, multipletests(method="holm")
    adjusted = adjust_holm([0.0005, 0.04, 0.012, 0.012, 0.7, 0.03])
    assert adjusted == pytest.approx([0.003, 0.09, 0.06, 0.06, 0.7, 0.09], rel=1e-12)


def test_adjusted_p_values_end_at_one() -> None:
    assert adjust_holm([0.6, 0.9]).tolist() == [1, 1]


def test_single_test_and_no_test_stay_as_they_are() -> None:
    assert adjust_holm([0.03]).tolist() == [0.03]
    assert adjust_holm([]).tolist() == []


@settings(deadline=None)
@given(p_value_lists)
def test_adjusting_keeps_the_order_and_lowers_nothing(p_values: list[float]) -> None:
    adjusted = adjust_holm(p_values)
    assert (adjusted >= p_values).all()
    assert (np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= 0).all()


@settings(deadline=None)
@given(p_value_lists, st.randoms())
def test_order_of_the_tests_does_not_matter(p_values: list[float], rng) -> None:
    order = rng.sample(range(len(p_values)), len(p_values))
    shuffled = adjust_holm([p_values[i] for i in order])
    assert shuffled.tolist() == [adjust_holm(p_values)[i] for i in order]


@settings(deadline=None)
@given(p_value_lists, st.floats(0, 0.99))
def test_rejects_what_the_step_down_procedure_rejects(p_values: list[float], level: float) -> None:
    rejected = 0
    for p_value in sorted(p_values):
        if p_value * (len(p_values) - rejected) > level:
            break
        rejected += 1
    assert (adjust_holm(p_values) <= level).sum() == rejected


@pytest.mark.parametrize("wrong", [float("nan"), -0.1, 1.1])
def test_what_is_no_p_value_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        adjust_holm([0.5, wrong])
