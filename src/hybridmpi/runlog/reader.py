"""Reading a run file."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridmpi.runlog.attributes import Attributes, json_table
from hybridmpi.runlog.content import PARTS, content_hash
from hybridmpi.runlog.plausible import check
from hybridmpi.runlog.reading.damage import damage_told
from hybridmpi.runlog.reading.process import read
from hybridmpi.runlog.run import Run
from hybridmpi.runlog.schema import LOGS, SNAPSHOTS, WORKERS, Table


def read_run(path: str | Path) -> Run:
    """Read a run file: of a run that ended, that goes on, or whose process was killed.

    Nothing in it is executed or looked up in other files, and reading it takes memory in proportion
    to its length, whoever made it.

    Raises:
        UserError: If the file is not there, is no run file, or is damaged.
    """
    path = Path(path)
    values, arrays = read("content", path)
    with damage_told(path):
        attributes = Attributes.of(path, values["attributes"])
        _check_content(attributes, arrays)
        run = Run(
            path=path,
            status=attributes.pop("status"),
            config=json_table(attributes.pop("config"), "its config"),
            layout=json_table(attributes.pop("layout"), "its layout"),
            attributes=attributes,
            **{table.name: _frame(table, arrays[table.name]) for table in (*LOGS, WORKERS)},
            snapshots=_frame(SNAPSHOTS, arrays.get(SNAPSHOTS.name, np.empty(0, SNAPSHOTS.dtype))),
            final=arrays["final"] if values["final_version"] >= 0 else None,
            final_version=values["final_version"],
        )
        check(run)
    return run


def _check_content(attributes: Attributes, arrays: dict[str, NDArray[Any]]) -> None:
    """Notice damage to the rows of a run that has ended; HDF5 has no checksum of them."""
    known = attributes.get("content_sha256")
    if known is not None and known != content_hash(arrays[part] for part in PARTS):
        raise ValueError("its rows are not those that it was closed with")


def _frame(table: Table, rows: NDArray[np.void]) -> pd.DataFrame:
    return pd.DataFrame({name: _decoded(rows[name]) for name in table.names})


def _decoded(values: NDArray[Any]) -> NDArray[Any]:
    return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values
