import math

import pytest

from hybridmpi.core import schedule
from hybridmpi.core.schedule import Progress
from hybridmpi.core.threshold import threshold


def test_step_grows_by_its_increment_every_so_often():
    curve = schedule.step(initial=1, increment=2, every=10)
    assert [curve(n) for n in (0, 9, 10, 19, 20, 35)] == [1, 1, 3, 3, 5, 7]


def test_step_shrinks_and_stops_at_its_final_value():
    curve = schedule.step(initial=5, increment=-2, every=10, final=2)
    assert [curve(n) for n in (0, 10, 20, 1000)] == [5, 3, 2, 2]


def test_linear_is_the_papers_threshold_with_the_learning_rate_as_slope():
    curve = schedule.linear(initial=0, slope=0.01)
    assert [curve(n) for n in (0, 100, 250)] == [0, 1, 2.5]


def test_polynomial_passes_through_its_ends():
    curve = schedule.polynomial(initial=1, final=9, power=2, duration=4)
    assert [curve(n) for n in (0, 2, 4, 400)] == [1, 3, 9, 9]


def test_exponential_multiplies_by_its_factor():
    curve = schedule.exponential(initial=3, factor=2, every=10)
    assert [curve(n) for n in (0, 10, 20, 30)] == pytest.approx([3, 6, 12, 24])


def test_exponential_shrinks_to_its_final_value():
    curve = schedule.exponential(initial=8, factor=0.5, every=1, final=2)
    assert [curve(n) for n in (0, 1, 2, 3)] == pytest.approx([8, 4, 2, 2])


def test_exponential_stays_finite_for_ever():
    assert math.isfinite(schedule.exponential(initial=1, factor=10, every=1)(1e9))


def test_joined_curves_each_count_from_their_own_beginning():
    curve = schedule.join(
        [schedule.linear(1, 1), schedule.constant(7), schedule.linear(0, 2)], [3, 5]
    )
    assert [curve(n) for n in (0, 2, 3, 4, 5, 6)] == [1, 3, 7, 7, 0, 2]


@pytest.mark.parametrize("boundaries", [[], [3, 3], [0], [5, 4]])
def test_join_refuses_boundaries_that_do_not_fit(boundaries):
    with pytest.raises(ValueError, match="growing boundaries"):
        schedule.join(
            [schedule.constant(1)] * (len(boundaries) + 1 or 2)
            + ([] if boundaries else [schedule.constant(2)]),
            boundaries,
        )


@pytest.mark.parametrize(("unit", "expected"), [("gradients", 7), ("steps", 3), ("seconds", 1.5)])
def test_a_schedule_counts_in_its_unit(unit, expected):
    follow = schedule.over(unit, schedule.linear(0, 1))
    assert follow(Progress(gradients=7, steps=3, seconds=1.5)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-3, 1), (0, 1), (0.99, 1), (1, 1), (2.99, 2), (4, 4), (5, 4), (math.inf, 4)],
)
def test_threshold_is_the_floor_clamped_to_the_active_workers(value, expected):
    follow = schedule.over("gradients", schedule.constant(value))
    assert threshold(follow, Progress(1, 0, 0.0), active_workers=4) == expected
