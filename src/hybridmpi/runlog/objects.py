"""What a run file consists of when it is made: attributes, tables, parameters."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridmpi.runlog import schema
from hybridmpi.runlog.file_format import as_stored, stored_type
from hybridmpi.runlog.schema import HIGHER_IS_BETTER, LOWER_IS_BETTER, Table

SNAPSHOT_CHUNK_BYTES = 2**24  # a chunk must stay below 4 GiB


def set_attributes(file: Any, attributes: Mapping[str, str | int | float]) -> None:
    """Write all attributes of a run, `schema.ENDINGS` and the status included."""
    for name, value in attributes.items():
        if name in schema.WRITTEN_IN_PLACE:
            held = schema.in_place(name, value)
            file.attrs.create(name, as_stored(held), dtype=stored_type(held.dtype))
        else:
            file.attrs[name] = value


def create_table(file: Any, table: Table, rows: NDArray[np.void]) -> None:
    """Make the dataset of a table, which can grow, with the meanings of its columns."""
    dataset = file.create_dataset(
        table.name,
        shape=rows.shape,
        maxshape=(None,),
        chunks=(table.chunk_rows,),
        dtype=stored_type(table.dtype),
    )
    if len(rows):
        dataset[...] = as_stored(rows)
    dataset.attrs["meaning"] = table.meaning
    for column in table.columns:
        dataset.attrs[column.name] = column.meaning
    for metric in table.metrics:
        direction = HIGHER_IS_BETTER if metric.higher_is_better else LOWER_IS_BETTER
        dataset.attrs[f"{metric.name}_unit"] = metric.unit
        dataset.attrs[f"{metric.name}_direction"] = direction


def create_final(file: Any, parameters: NDArray[np.float32], version: int = -1) -> None:
    """Write the parameters at the end; without a version they only take up the room for it."""
    final = file.create_dataset("final", data=parameters)
    final.attrs["meaning"] = "the parameters at the end, in the order of layout"
    final.attrs["version"] = version


def create_snapshots(file: Any, size: int) -> Any:
    """Make the dataset of snapshots' parameters, each of `size` elements, and return it."""
    return file.create_dataset(
        "snapshots/parameters",
        shape=(0, size),
        maxshape=(None, size),
        chunks=(1, min(size, SNAPSHOT_CHUNK_BYTES // 4)),
        dtype=np.float32,
    )
