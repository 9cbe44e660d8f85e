import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridmpi.core.delays import Delays
from hybridmpi.core.randomness import Draws, generator, torch_seed

asked = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 200)), min_size=1, max_size=30)


def uniform(seed=3, purpose="delays"):
    return Draws(seed, purpose, lambda rng, count: rng.random(count))


def test_the_same_key_draws_the_same_numbers():
    assert (
        generator(3, "batches", 2, 5).random(4) == generator(3, "batches", 2, 5).random(4)
    ).all()


def test_every_part_of_the_key_matters():
    keys = [
        (0, "batches", 1, 0),
        (1, "batches", 1, 0),
        (0, "delays", 1, 0),
        (0, "batches", 2, 0),
        (0, "batches", 1, 1),
    ]
    draws = {float(generator(*key).random()) for key in keys}
    seeds = {torch_seed(*key) for key in keys}
    assert len(draws) == len(seeds) == len(keys)


def test_torch_seeds_fit_torch():
    assert all(0 <= torch_seed(seed, "dropout", 1, 2) < 2**63 for seed in range(100))


@given(asked)
def test_draws_do_not_depend_on_the_order_in_which_they_are_asked_for(keys):
    drawn = uniform()
    assert [drawn.get(*key) for key in keys] == [uniform().get(*key) for key in keys]


def test_draws_of_one_worker_are_all_different():
    drawn = uniform()
    assert len({drawn.get(1, n) for n in range(1000)}) == 1000


def test_draws_depend_on_seed_purpose_and_worker():
    drawn = {uniform().get(1, 7), uniform(seed=4).get(1, 7), uniform().get(2, 7)}
    assert len(drawn | {uniform(purpose="compute times").get(1, 7)}) == 4


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 0), (0.5, 12), (0.99, 24), (1.0, 25)])
def test_delayed_workers_are_a_fraction_rounded_down(fraction, count):
    delayed = Delays(3, fraction, 0.0, 1.0).delayed_workers(25)
    assert len(delayed) == count
    assert delayed <= set(range(1, 26))


def test_seed_chooses_the_delayed_workers():
    chosen = {Delays(seed, 0.5, 0.0, 1.0).delayed_workers(25) for seed in range(5)}
    assert len(chosen) == 5
    assert Delays(3, 0.5, 0.0, 1.0).delayed_workers(25) in chosen


def test_delays_are_uniform_in_their_range():
    delays = Delays(3, 0.5, 2.0, 4.0)
    waits = [delays.delay_s(1, n) for n in range(2000)]
    assert 2.0 <= min(waits) < 2.01
    assert 3.99 < max(waits) <= 4.0
    assert sum(waits) / len(waits) == pytest.approx(3.0, abs=0.05)


@given(asked)
def test_delays_do_not_depend_on_the_order_in_which_they_are_asked_for(keys):
    delays = Delays(3, 0.5, 0.0, 1.0)
    waits = [delays.delay_s(*key) for key in keys]
    assert waits == [Delays(3, 0.5, 0.0, 1.0).delay_s(*key) for key in keys]
    assert waits != [Delays(4, 0.5, 0.0, 1.0).delay_s(*key) for key in keys]
