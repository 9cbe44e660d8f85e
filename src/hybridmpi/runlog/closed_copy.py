"""A copy of a run file that every reader of HDF5 opens.

A file that is being written, or whose writer was killed, is open for SWMR, and only readers that
know of SWMR take it. Files of hybridmpi before 0.1.0 were written in HDF5 2.0's own format.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridmpi.errors import UserError
from hybridmpi.runlog import file_format, objects, schema
from hybridmpi.runlog.content import PARTS, content_hash
from hybridmpi.runlog.replacing import check_free, replacing
from hybridmpi.runlog.run import Run
from hybridmpi.runlog.schema import Table


def save_closed_copy(run: Run, path: Path, force: bool = False) -> None:
    """Write what was read of a run to a file of its own, its status included.

    Args:
        run: A run, whatever became of its writer.
        path: The file to write.
        force: Whether a file that is already there may be replaced.

    Raises:
        UserError: If the file cannot be written, or is the run file itself.
    """
    check_free(path, force)
    if path.exists() and path.samefile(run.path):  # which may still be written
        raise UserError(f"'{path}' is the run file itself; name another file for the copy")
    tables = [
        table.limited_to(getattr(run, table.name)) for table in schema.tables_with(run.metrics)
    ]
    rows = {table.name: rows_of(table, getattr(run, table.name)) for table in tables}
    size = int(run.layout.get("size", 0))
    final = np.zeros(size, np.float32) if run.final is None else run.final
    with (
        replacing(path) as beside,
        file_format.create(beside, run.path.stat().st_size) as file,
    ):
        objects.set_attributes(file, _attributes(run, rows | {"final": final}))
        for table in tables:
            objects.create_table(file, table, rows[table.name])
        objects.create_final(file, final, run.final_version)
        if len(run.snapshots):
            _copy_snapshots(run, file)


def _attributes(run: Run, parts: dict[str, NDArray[Any]]) -> dict[str, str | int | float]:
    attributes = {
        **schema.ENDINGS,
        **run.attributes,
        "schema_version": schema.SCHEMA_VERSION,
        "schema_minor": schema.SCHEMA_MINOR,
        "status": run.status,
        "config": json.dumps(run.config),
        "layout": json.dumps(run.layout),
    }
    if attributes["content_sha256"]:  # of bytes; text that was no UTF-8 has been mended
        attributes["content_sha256"] = content_hash(parts[name] for name in PARTS)
    return attributes


def _copy_snapshots(run: Run, file: Any) -> None:
    objects.create_table(file, schema.SNAPSHOTS, rows_of(schema.SNAPSHOTS, run.snapshots))
    versions = run.snapshots.version.tolist()
    vectors = objects.create_snapshots(file, len(run.snapshot(versions[0])))
    vectors.resize(len(versions), axis=0)
    for number, version in enumerate(versions):
        vectors[number] = run.snapshot(version)


def rows_of(table: Table, frame: pd.DataFrame) -> NDArray[np.void]:
    """Return a table's rows as the file has them."""
    rows = np.empty(len(frame), table.dtype)
    for column in table.columns:
        values = frame[column.name]
        is_text = rows.dtype[column.name].kind == "S"
        rows[column.name] = [column.encode(text) for text in values] if is_text else values
    return rows
