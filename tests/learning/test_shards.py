import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridmpi.errors import UserError
from hybridmpi.learning.shards import (
    Scheme,
    shard_indices,
    share_out_anew,
    split,
    training_subset,
)

LABELS = np.arange(1_000) % 10


@pytest.mark.parametrize("scheme", ["stride", "contiguous", "dirichlet", "dirichlet-equal"])
@pytest.mark.parametrize("num_workers", [1, 3, 25])
def test_every_sample_is_in_exactly_one_shard(scheme: Scheme, num_workers: int) -> None:
    shards = shard_indices(LABELS, num_workers, scheme, seed=1, batch_size=4)
    assert len(shards) == num_workers
    assert sorted(np.concatenate(shards)) == list(range(1_000))
    assert all(shard.dtype == np.int64 for shard in shards)


def test_contiguous_shards_are_blocks_as_the_set_lies() -> None:
    shards = shard_indices(np.zeros(7, np.int64), 3, "contiguous", seed=0, batch_size=2)
    assert [shard.tolist() for shard in shards] == [[0, 1, 2], [3, 4], [5, 6]]


def test_stride_shards_are_equal_and_mixed() -> None:
    shards = shard_indices(np.zeros(302, np.int64), 3, "stride", seed=0, batch_size=1)
    assert [len(shard) for shard in shards] == [101, 101, 100]
    assert len(set(np.diff(shards[0]))) > 1


@pytest.mark.parametrize("scheme", ["stride", "dirichlet", "dirichlet-equal"])
def test_shards_depend_on_the_seed_alone(scheme: Scheme) -> None:
    first, same, other = (
        shard_indices(LABELS, 4, scheme, seed=seed, batch_size=4)[0].tolist() for seed in (1, 1, 2)
    )
    assert first == same
    assert first != other


def largest_class_fraction(concentration: float, scheme: Scheme = "dirichlet") -> float:
    shards = shard_indices(LABELS, 5, scheme, seed=3, batch_size=8, concentration=concentration)
    return float(np.mean([np.bincount(LABELS[shard]).max() / len(shard) for shard in shards]))


@pytest.mark.parametrize("scheme", ["dirichlet", "dirichlet-equal"])
def test_small_concentration_gives_each_worker_few_classes(scheme: Scheme) -> None:
    assert largest_class_fraction(0.05, scheme) > 0.4
    assert largest_class_fraction(1_000.0, scheme) < 0.2


@pytest.mark.parametrize("concentration", [1e-3, 0.1, 10.0])
def test_equal_dirichlet_shards_have_one_size(concentration: float) -> None:
    shards = shard_indices(
        LABELS[:997], 25, "dirichlet-equal", seed=2, batch_size=39, concentration=concentration
    )
    assert {len(shard) for shard in shards} == {39, 40}


def test_dirichlet_is_drawn_again_until_each_worker_has_a_batch() -> None:
    small = shard_indices(LABELS, 10, "dirichlet", seed=5, batch_size=1, concentration=0.3)
    least = min(len(shard) for shard in small)
    again = shard_indices(LABELS, 10, "dirichlet", seed=5, batch_size=least + 1, concentration=0.3)
    assert min(len(shard) for shard in again) > least


def test_dirichlet_gives_up_with_the_numbers() -> None:
    with pytest.raises(UserError, match=r"1000 draws with concentration 0\.001 .*10 shards.*=90"):
        shard_indices(LABELS, 10, "dirichlet", seed=0, batch_size=90, concentration=0.001)


@pytest.mark.parametrize("concentration", [0.0, -1.0, float("inf"), float("nan")])
def test_unfit_concentration_is_refused(concentration: float) -> None:
    for scheme in ("dirichlet", "dirichlet-equal"):
        with pytest.raises(UserError, match="must be above 0"):
            shard_indices(LABELS, 2, scheme, seed=0, batch_size=1, concentration=concentration)


def test_more_workers_than_samples_are_refused() -> None:
    with pytest.raises(UserError, match="4 workers can't share 3 training samples"):
        shard_indices(np.zeros(3, np.int64), 4, "stride", seed=0, batch_size=1)


def test_batch_larger_than_a_shard_is_refused() -> None:
    with pytest.raises(UserError, match=r"batch_size is 4, .* 11 .* 3 workers 3 each"):
        shard_indices(np.zeros(11, np.int64), 3, "contiguous", seed=0, batch_size=4)


def test_training_subset_is_fixed() -> None:
    subset = training_subset(60_000)
    assert len(set(subset.tolist())) == 5_000
    assert subset.tolist() == training_subset(60_000).tolist()
    assert subset.tolist() == sorted(subset)
    assert subset.max() > 50_000


def test_training_subset_of_a_small_set_is_the_whole() -> None:
    assert training_subset(7, 10).tolist() == list(range(7))


def test_every_sample_is_trained_on_or_held_out() -> None:
    training, held_out = split(1_003, 0.1)
    assert (len(training), len(held_out)) == (903, 100)
    assert sorted([*training, *held_out]) == list(range(1_003))
    assert held_out.tolist() == sorted(held_out)
    assert (np.diff(held_out) > 1).any()  # drawn, not cut off


def test_larger_validation_share_holds_out_the_same_and_more() -> None:
    assert set(split(1_000, 0.1)[1]) < set(split(1_000, 0.3)[1])


def test_without_validation_the_training_set_is_as_it_lies() -> None:
    training, held_out = split(1_000, 0)
    assert training.tolist() == list(range(1_000))
    assert len(held_out) == 0


def test_validation_share_that_holds_out_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.validation is 0\.001, .* 40 .* raise it to 0\.025"):
        split(40, 0.001)


def shards_after(*losses: int) -> list[list[int]]:
    shards = [np.array([0, 1, 2, 3]), np.array([10, 11, 12]), np.array([20, 21, 22])]
    return [shard.tolist() for shard in share_out_anew(shards, losses)]


def test_a_lost_shard_is_dealt_out_in_turn() -> None:
    assert shards_after() == [[0, 1, 2, 3], [10, 11, 12], [20, 21, 22]]
    assert shards_after(1) == [[], [10, 11, 12, 0, 2], [20, 21, 22, 1, 3]]
    assert shards_after(2) == [[0, 1, 2, 3, 10, 12], [], [20, 21, 22, 11]]


def test_who_inherits_loses_its_inheritance_with_its_own_shard() -> None:
    assert shards_after(2, 3) == [[0, 1, 2, 3, 10, 12, 20, 21, 22, 11], [], []]


def test_a_worker_that_is_back_has_its_own_shard_again() -> None:
    assert shards_after(2, -2) == shards_after()
    assert shards_after(2, 3, -2) == shards_after(3)
    assert shards_after(1, 2, 3) == [[], [], []]


@given(st.lists(st.integers(1, 6), unique=True, max_size=5))
def test_every_sample_stays_with_exactly_one_worker(losses: list[int]) -> None:
    shards = shard_indices(np.zeros(100, np.int64), 6, "stride", seed=1, batch_size=4)
    shared = share_out_anew(shards, losses)
    assert sorted(np.concatenate(shared)) == list(range(100))
    assert [len(shared[worker - 1]) for worker in losses] == [0] * len(losses)
