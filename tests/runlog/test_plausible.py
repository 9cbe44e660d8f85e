from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from hybridmpi import read_run
from hybridmpi.errors import UserError
from hybridmpi.runlog.writer import RunWriter


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("gradients", "worker", 3, "other workers than 1 to 2"),
        ("gradients", "worker", -1, "a worker of -1"),
        ("gradients", "staleness", 2**40, "a staleness of 1099511627776 in 2 steps"),
        ("gradients", "time_s", float("nan"), "a time_s of nan"),
        ("gradients", "wait_s", float("inf"), "a wait_s of inf"),
        ("gradients", "step", -2, "a step of -2"),
        ("steps", "version", 2**60, "a version of"),
        ("steps", "threshold", 0, "a threshold of 0"),
        ("events", "worker", 9, "events are of other workers"),
        ("workers", "rank", 2**30, "not the ranks 1 to 2"),
    ],
)
def test_rows_that_cannot_be_are_refused(
    small_run: Path, table: str, column: str, value: float, words: str
) -> None:
    with h5py.File(small_run, "r+") as file:
        del file.attrs["content_sha256"]
        rows = file[table][()]
        rows[column][-1] = value
        file[table][...] = rows
    with pytest.raises(UserError, match=f"is damaged: .*{words}"):
        read_run(small_run)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("status", "done"),
            ("duration_s", -1.0),
            ("duration_s", "long"),
            ("bytes_sent", 2.0**70),
        ),
        *(("torch_threads", 10**9), ("num_workers", 3), ("engine", 7), ("evaluated_on", 1)),
    ],
)
def test_attributes_that_cannot_be_are_refused(small_run: Path, name: str, value: Any) -> None:
    with h5py.File(small_run, "r+") as file:
        file.attrs[name] = value
    with pytest.raises(UserError, match="is damaged"):
        read_run(small_run)


@pytest.mark.parametrize(
    "layout",
    [
        *("{}", '{"size": 8}', '{"size": 7, "entries": "x"}', '{"size": 7, "entries": [{}]}'),
        '{"size": 7, "entries": [{"name": "w", "shape": [-1], "offset": 0, "dtype": "float32", '
        '"is_parameter": true}]}',
    ],
)
def test_layout_that_cannot_be_is_refused(small_run: Path, layout: str) -> None:
    with h5py.File(small_run, "r+") as file:
        file.attrs["layout"] = layout
    with pytest.raises(UserError, match="its layout is"):
        read_run(small_run)


def test_config_without_sections_is_refused(new_run: Callable[..., RunWriter]) -> None:
    writer = new_run(config={"run": 3})
    with pytest.raises(UserError, match="its config is no job"):
        read_run(writer.path)
