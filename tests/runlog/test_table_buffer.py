from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hybridmpi.runlog.schema import Column, Table
from hybridmpi.runlog.table_buffer import TableBuffer

PAIRS = Table("pairs", "", (Column("a", "i8", ""), Column("b", "f8", "")))


@pytest.fixture
def dataset(tmp_path: Path) -> Any:
    with h5py.File(tmp_path / "table.h5", "w") as file:
        yield file.create_dataset(
            "pairs", shape=(0,), maxshape=(None,), dtype=PAIRS.dtype, chunks=(4,)
        )


def test_rows_are_written_on_flush_in_order(dataset: Any) -> None:
    table = TableBuffer(PAIRS, dataset)
    assert [table.append(n, n / 2) for n in range(3)] == [0, 1, 2]
    assert len(dataset) == 0
    assert table.flush()
    assert table.append(3, 1.5) == 3
    assert table.flush()
    assert dataset[()].tolist() == [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.5)]


def test_nothing_is_written_when_nothing_changed(dataset: Any) -> None:
    table = TableBuffer(PAIRS, dataset)
    assert not table.flush()
    table.append(1, 1.0)
    table.flush()
    assert not table.flush()
    assert table.growth_bytes == 0


def test_row_is_amended_before_and_after_it_was_written(dataset: Any) -> None:
    table = TableBuffer(PAIRS, dataset)
    early, late = table.append(1, 1.0), table.append(2, 2.0)
    table.amend(early, PAIRS.span("b"), -1.0)
    table.flush()
    table.amend(late, PAIRS.span("a"), -2)
    table.amend(late, PAIRS.span("b"), -2.5)
    assert table.flush()
    assert dataset[()].tolist() == [(1, -1.0), (-2, -2.5)]


def test_amendments_across_chunks_leave_the_other_rows_alone(dataset: Any) -> None:
    expected = np.array([(n, n) for n in range(23)], PAIRS.dtype)
    table = TableBuffer(PAIRS, dataset)
    for n in range(23):
        table.append(n, float(n))
    table.flush()
    for number in (22, 0, 3, 4, 11, 13):
        table.amend(number, PAIRS.span("b"), 100.0 + number)
        expected["b"][number] = 100 + number
    added = table.append(23, 23.0)
    table.amend(added, PAIRS.span("a"), 7)
    table.flush()
    assert dataset[:23].tolist() == expected.tolist()
    assert dataset[23].tolist() == (7, 23.0)


def test_rows_that_are_never_amended_are_not_kept_in_memory(dataset: Any) -> None:
    table = TableBuffer(PAIRS, dataset)
    table.append(1, 1.0)
    table.flush()
    assert dataset[0].tolist() == (1, 1.0)
    assert not table._new
    assert not table._amended


def test_neighbouring_columns_are_amended_together(dataset: Any) -> None:
    table = TableBuffer(PAIRS, dataset)
    rows = [table.append(1, 1.0), table.append(2, 2.0)]
    table.amend(rows[0], PAIRS.span("a", "b"), 7, 7.5)
    table.flush()
    table.amend(rows[1], PAIRS.span("a", "b"), 8, 8.5)
    table.flush()
    assert dataset[()].tolist() == [(7, 7.5), (8, 8.5)]
