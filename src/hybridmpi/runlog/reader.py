"""Reading a run file."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridmpi.runlog import stored
from hybridmpi.runlog.attributes import Attributes
from hybridmpi.runlog.content import content_hash
from hybridmpi.runlog.plausible import check
from hybridmpi.runlog.run import Run
from hybridmpi.runlog.run_file import open_run_file
from hybridmpi.runlog.schema import LOGS, SNAPSHOTS, WORKERS, Table


def read_run(path: str | Path) -> Run:
    """Read a run file: of a run that ended, that goes on, or whose process was killed.

    Nothing in it is executed or looked up in other files, and reading it takes memory in proportion
    to its length, whoever made it.

    Raises:
        UserError: If the file is not there, is no run file, or is damaged.
    """
    path = Path(path)
    with open_run_file(path) as file:
        attributes = Attributes.of(path, file)
        rows = {table.name: stored.table_dataset(file, table)[()] for table in (*LOGS, WORKERS)}
        held = stored.vectors(file, "final", 1)
        final, final_version = held[()], int(stored.attribute(held, "version"))
        _check_content(attributes, *rows.values(), final)
        run = Run(
            path=path,
            status=attributes.pop("status"),
            config=stored.json_table(attributes.pop("config"), "its config"),
            layout=stored.json_table(attributes.pop("layout"), "its layout"),
            attributes=attributes,
            **{table.name: _frame(table, rows[table.name]) for table in (*LOGS, WORKERS)},
            snapshots=_frame(SNAPSHOTS, _snapshots(file)),
            final=final if final_version >= 0 else None,
            final_version=final_version,
        )
        check(run)
    return run


def _check_content(attributes: Attributes, *parts: NDArray[Any]) -> None:
    """Notice damage to the rows of a run that has ended; HDF5 has no checksum of them."""
    known = attributes.get("content_sha256")
    if known is not None and known != content_hash(parts):
        raise ValueError("its rows are not those that it was closed with")


def _snapshots(file: Any) -> NDArray[np.void]:
    if not stored.has_group(file, SNAPSHOTS.name.partition("/")[0]):
        return np.empty(0, SNAPSHOTS.dtype)
    rows: NDArray[np.void] = stored.table_dataset(file, SNAPSHOTS)[()]
    return rows


def _frame(table: Table, rows: NDArray[np.void]) -> pd.DataFrame:
    return pd.DataFrame({name: _decoded(rows[name]) for name in table.names})


def _decoded(values: NDArray[Any]) -> NDArray[Any]:
    return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values
