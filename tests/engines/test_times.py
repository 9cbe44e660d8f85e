"""The model of times: values worked out by hand, and draws that depend on their key alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridmpi.config.simulate import SimulateSection
from hybridmpi.core.delays import Delays
from hybridmpi.engines.simulate.times import NS, ModelledTimes, RecordedTimes, cycled

LOGNORMAL = {"distribution": "lognormal", "sigma": 0.5}
JITTERS = [
    LOGNORMAL,
    {"distribution": "exponential"},
    {"distribution": "pareto", "shape": 4.0},
    {"distribution": "empirical", "factors": [0.5, 1.0, 1.5]},
]
NEVER = Delays(0, 0.0, 0.0, 0.0)


def modelled(
    *, seed: int = 3, delays: Delays = NEVER, message_bytes: int = 500, **section: Any
) -> ModelledTimes:
    machine = SimulateSection.model_validate({"workers": 4, **section})
    return ModelledTimes(machine, seed=seed, delays=delays, message_bytes=message_bytes)


def test_computing_takes_a_fixed_time_and_a_time_per_sample() -> None:
    times = modelled(compute_fixed_s=0.5, compute_per_sample_s=0.25)
    assert times.compute_ns(1, 0, 1) == 750_000_000
    assert times.compute_ns(4, 9, 8) == 2_500_000_000


def test_computing_takes_at_least_a_nanosecond() -> None:
    assert modelled(compute_per_sample_s=1e-12).compute_ns(1, 0, 1) == 1


def test_slowness_begins_anew_where_there_are_more_workers() -> None:
    times = modelled(slowness=[1, 2, 4], compute_fixed_s=1.0, compute_per_sample_s=0.0)
    assert [times.compute_ns(w, 0, 8) for w in (1, 2, 3, 4)] == [NS, 2 * NS, 4 * NS, NS]
    assert [cycled([5, 7], i) for i in range(4)] == [5, 7, 5, 7]


def test_message_takes_its_latency_and_its_bytes() -> None:
    times = modelled(latency_s=[0.1, 0.2], bandwidth_bytes_per_s=[1000, 500, 250])
    taken = [times.up_ns(w, 0) for w in (1, 2, 3, 4)]
    assert taken == [600_000_000, 1_200_000_000, 2_100_000_000, 700_000_000]
    assert taken == [times.down_ns(w, 5) for w in (1, 2, 3, 4)]


def test_bytes_take_no_time_without_a_bandwidth() -> None:
    assert modelled(message_bytes=10**9).up_ns(1, 0) == 0


def test_lost_messages_cost_whole_resends_as_often_as_they_are_lost() -> None:
    times = modelled(loss=[0.5, 0.0], resend_s=0.2, latency_s=[0.1])
    lost, remainders = np.divmod(
        [times.up_ns(1, n) - 100_000_000 for n in range(4000)], 200_000_000
    )
    assert not remainders.any()
    for count in range(4):
        assert np.mean(lost == count) == pytest.approx(0.5 ** (count + 1), abs=0.03)
    assert {times.up_ns(2, n) for n in range(100)} == {100_000_000}


def test_releases_and_pushes_are_lost_independently() -> None:
    times = modelled(loss=[0.5])
    up, down = ([way(1, n) for n in range(2000)] for way in (times.up_ns, times.down_ns))
    assert abs(np.corrcoef(up, down)[0, 1]) < 0.1


def test_only_delayed_workers_wait() -> None:
    delays = Delays(3, 0.5, 2.0, 3.0)
    delayed = delays.delayed_workers(4)
    times = modelled(delays=delays)
    for worker in range(1, 5):
        waited = {times.delay_ns(worker, n) for n in range(50)}
        assert len(waited) == (50 if worker in delayed else 1)
        assert all((2 * NS if worker in delayed else 0) <= ns <= 3 * NS for ns in waited)


@pytest.mark.parametrize("jitter", JITTERS, ids=lambda jitter: jitter["distribution"])
def test_jitter_has_mean_one_and_is_no_constant(jitter: dict[str, Any]) -> None:
    times = modelled(jitter=jitter, compute_fixed_s=1.0, compute_per_sample_s=0.0)
    factors = np.array([times.compute_ns(1, n, 8) for n in range(10_000)]) / NS
    assert factors.mean() == pytest.approx(1.0, abs=0.04)
    assert factors.std() > 0.3


def test_lognormal_has_its_sigma_and_pareto_its_shape() -> None:
    lognormal = modelled(jitter=LOGNORMAL)
    logarithms = np.log([lognormal.compute_ns(1, n, 1000) / NS for n in range(10_000)])
    assert logarithms.std() == pytest.approx(0.5, abs=0.02)
    pareto = modelled(jitter={"distribution": "pareto", "shape": 3.0})
    factors = np.array([pareto.compute_ns(1, n, 1000) / NS for n in range(10_000)])
    assert factors.min() == pytest.approx(2 / 3, abs=1e-3)
    assert np.mean(factors > 4 / 3) == pytest.approx(0.5**3, abs=0.02)


def test_empirical_factors_are_taken_as_they_are() -> None:
    times = modelled(
        jitter={"distribution": "empirical", "factors": [1.0, 8.0]}, compute_per_sample_s=1.0
    )
    drawn = [times.compute_ns(1, n, 1) for n in range(1000)]
    assert set(drawn) == {NS, 8 * NS}
    assert drawn.count(NS) / 1000 == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("jitter", JITTERS, ids=lambda jitter: jitter["distribution"])
@given(keys=st.permutations([(w, n) for w in (1, 2) for n in (0, 1, 63, 64, 500)]))
def test_compute_times_do_not_depend_on_order_or_number_of_workers(
    jitter: dict[str, Any], keys: list[tuple[int, int]]
) -> None:
    few, many = modelled(jitter=jitter, workers=2), modelled(jitter=jitter, workers=25)
    drawn = {key: few.compute_ns(*key, 8) for key in keys}
    assert drawn == {key: many.compute_ns(*key, 8) for key in sorted(keys)}


def test_another_seed_draws_other_compute_times() -> None:
    first, second = (modelled(seed=seed, jitter=LOGNORMAL) for seed in (3, 4))
    assert [first.compute_ns(1, n, 8) for n in range(5)] != [
        second.compute_ns(1, n, 8) for n in range(5)
    ]


def test_recorded_times_are_taken_by_batch_and_others_are_drawn_from_the_workers_own() -> None:
    recorded = {1: {0: 0.5, 1: 0.25, 3: 2.0}, 2: {5: 1.0}}
    times = RecordedTimes(modelled(latency_s=[0.1]), recorded, seed=3)
    assert [times.compute_ns(1, n, 8) for n in (3, 0, 1)] == [2 * NS, NS // 2, NS // 4]
    assert times.compute_ns(2, 5, 8) == NS
    assert (times.used, times.resampled) == (4, 0)
    assert times.compute_ns(2, 0, 8) == NS
    again = [times.compute_ns(1, n, 8) for n in (2, *range(4, 103))]
    assert set(again) == {NS // 2, NS // 4, 2 * NS}
    assert (times.used, times.resampled) == (105, 101)
    assert times.up_ns(1, 0) == times.down_ns(1, 0) == 100_000_000
    another = RecordedTimes(modelled(), recorded, seed=3)
    assert another.compute_ns(1, 50, 8) == again[47]
    assert [another.compute_ns(1, n, 8) for n in (2, *range(4, 103))] == again


def test_largest_times_that_are_allowed_are_whole_nanoseconds() -> None:
    times = modelled(
        compute_fixed_s=9e8,
        compute_per_sample_s=0.0,
        slowness=[9e8],
        jitter={"distribution": "empirical", "factors": [9e8]},
        latency_s=[9e8],
        bandwidth_bytes_per_s=[1.0],
        message_bytes=10**12,
        loss=[1 - 2**-53],
        resend_s=9e8,
        delays=Delays(0, 1.0, 9e8, 9e8),
    )
    assert times.compute_ns(1, 0, 2**31) == pytest.approx(9e8**3 * NS, rel=1e-6)
    assert times.delay_ns(1, 0) == 900_000_000 * NS
    assert times.up_ns(1, 0) > (10**12 + 900_000_000) * NS


def test_wildest_lognormal_times_are_finite() -> None:
    times = modelled(jitter={"distribution": "lognormal", "sigma": 9e8})
    assert {times.compute_ns(1, n, 8) for n in range(100)} == {1}
