import pytest

from hybridmpi.core.staleness import (
    ACCEPT,
    CANCEL,
    damp_inverse,
    damp_inverse_sqrt,
    damp_power,
    discard_from,
)


@pytest.mark.parametrize(
    ("rule", "factors"),
    [
        (ACCEPT, (1, 1, 1, 1, 1)),
        (CANCEL, (1, 1, 1, 1, 1)),
        (discard_from(9), (1, 1, 1, 1, 1)),
        (damp_inverse(), (1, 1, 1 / 2, 1 / 3, 1 / 8)),
        (damp_inverse_sqrt(), (1, 2**-0.5, 3**-0.5, 1 / 2, 1 / 3)),
        (damp_power(2), (1, 1 / 4, 1 / 9, 1 / 16, 1 / 81)),
    ],
)
def test_factor_is_a_function_of_the_staleness(rule, factors):
    damped = [rule.damping(staleness) for staleness in (0, 1, 2, 3, 8)]
    assert damped == pytest.approx(factors)


@pytest.mark.parametrize("rule", [ACCEPT, damp_inverse(), damp_inverse_sqrt(), damp_power(0.7)])
def test_damped_pushes_are_neither_discarded_nor_cancelled(rule):
    assert not any(rule.is_discarded(staleness) for staleness in (0, 1, 10**6))
    assert not rule.cancel


def test_discarding_begins_at_its_limit():
    rule = discard_from(2)
    assert [rule.is_discarded(staleness) for staleness in range(4)] == [False, False, True, True]
    assert not rule.cancel


def test_cancelling_discards_nothing_that_arrives():
    assert CANCEL.cancel
    assert not CANCEL.is_discarded(9)
