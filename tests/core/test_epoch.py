import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridmpi.core.epoch import Epoch, LastBatch

COUNTS = st.integers(1, 300)


def sizes(epoch: Epoch) -> list[int]:
    return [epoch.samples(position) for position in range(epoch.batches)]


@pytest.mark.parametrize(
    ("shard_size", "batch_size", "last_batch", "expected"),
    [
        (10, 4, "spread", [5, 5]),
        (11, 4, "spread", [6, 5]),
        (481, 32, "spread", [33, *[32] * 14]),
        (3, 2, "spread", [3]),
        (10, 4, "keep", [4, 4, 2]),
        (481, 32, "keep", [*[32] * 15, 1]),
        (10, 4, "drop", [4, 4]),
        (481, 32, "drop", [32] * 15),
        (3, 8, "spread", [3]),
        (3, 8, "keep", [3]),
        (3, 8, "drop", [3]),
        (7, 1, "spread", [1] * 7),
    ],
)
def test_batches_of_an_epoch(
    shard_size: int, batch_size: int, last_batch: LastBatch, expected: list[int]
) -> None:
    epoch = Epoch(shard_size, batch_size, last_batch)
    assert sizes(epoch) == expected
    assert (epoch.smallest, epoch.largest) == (min(expected), max(expected))


@given(COUNTS, COUNTS)
def test_spread_takes_every_sample_and_no_batch_is_short(shard_size: int, batch_size: int) -> None:
    found = sizes(Epoch(shard_size, batch_size, "spread"))
    assert sum(found) == shard_size
    assert max(found) - min(found) <= 1
    assert min(batch_size, shard_size) <= min(found)
    assert max(found) < 2 * max(batch_size, 1)


@given(COUNTS, st.integers(1, 20))
def test_all_are_alike_where_batches_fill_the_shard(batch_size: int, batches: int) -> None:
    expected = [batch_size] * batches
    for last_batch in ("spread", "keep", "drop"):
        assert sizes(Epoch(batch_size * batches, batch_size, last_batch)) == expected
