from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from hybridmpi.runlog.schema import Column, Table
from hybridmpi.runlog.table_buffer import TableBuffer

PAIRS = Table("pairs", "", (Column("a", "i8", ""), Column("b", "f8", "")))


@pytest.fixture
def dataset(tmp_path: Path) -> Any:
    with h5py.File(tmp_path / "table.h5", "w") as file:
        yield file.create_dataset(
            "pairs", shape=(0,), maxshape=(None,), dtype=PAIRS.dtype, chunks=(4,)
        )


def pairs(*rows: tuple[int, float]) -> NDArray[np.void]:
    return np.array(list(rows), PAIRS.dtype)


def test_rows_are_written_on_flush_in_order(dataset: Any) -> None:
    table = TableBuffer(dataset)
    assert table.append(pairs((0, 0.0), (1, 0.5))) == 0
    assert table.append(pairs()) == table.append(pairs((2, 1.0))) == 2
    assert len(dataset) == 0
    assert table.flush()
    assert table.append(pairs((3, 1.5))) == 3
    assert table.flush()
    assert dataset[()].tolist() == [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.5)]


def test_nothing_is_written_when_nothing_changed(dataset: Any) -> None:
    table = TableBuffer(dataset)
    assert not table.flush()
    table.append(pairs((1, 1.0)))
    table.amend(np.empty(0, np.int64), b=np.empty(0))
    assert table.growth_bytes > 0
    assert table.flush()
    assert not table.flush()
    assert table.growth_bytes == 0


def test_rows_are_amended_before_and_after_they_were_written(dataset: Any) -> None:
    table = TableBuffer(dataset)
    table.append(pairs((1, 1.0), (2, 2.0), (3, 3.0)))
    table.amend(np.array([0, 2]), b=np.array([-1.0, -3.0]))
    table.flush()
    table.amend(np.array([1]), a=np.array([-2]), b=np.array([-2.5]))
    assert table.flush()
    assert dataset[()].tolist() == [(1, -1.0), (-2, -2.5), (3, -3.0)]


def test_amendments_across_chunks_leave_the_other_rows_alone(dataset: Any) -> None:
    expected = pairs(*[(n, float(n)) for n in range(24)])
    table = TableBuffer(dataset)
    table.append(expected[:23].copy())
    table.flush()
    table.append(expected[23:].copy())
    for numbers in ([3, 4, 11, 13, 22], [0, 23]):
        table.amend(np.array(numbers), b=np.array(numbers) + 100.0)
        expected["b"][numbers] += 100
    table.flush()
    assert dataset[()].tolist() == expected.tolist()
