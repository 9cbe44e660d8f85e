"""A table of a run file as a data frame."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridmpi.errors import UserError
from hybridmpi.runlog.schema import Table


class ColumnMissingError(UserError, AttributeError):
    """A column that the run file is too old to have."""


class OlderTable(pd.DataFrame):  # type: ignore[misc]
    """A table that lacks columns of today's: asking for one of them says so."""

    _metadata = ["lacking"]  # noqa: RUF012 - as pandas asks of subclasses
    lacking: dict[str, str]  # what is said, by column

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return OlderTable

    def __getitem__(self, key: Any) -> Any:
        for name in key if isinstance(key, list) else [key]:
            self._check_is_there(name)
        return super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        if name not in self._metadata:
            self._check_is_there(name)
        return super().__getattr__(name)

    def _check_is_there(self, name: object) -> None:
        lacking = self.__dict__.get("lacking", {})
        if isinstance(name, str) and name in lacking and name not in self.columns:
            raise ColumnMissingError(lacking[name])


def frame_of(path: Path, table: Table, rows: NDArray[np.void]) -> pd.DataFrame:
    """Return rows as a data frame with the table's columns, those left out that they lack."""
    there = [name for name in table.names if name in (rows.dtype.names or ())]
    frame = pd.DataFrame({name: _decoded(rows[name]) for name in there})
    if len(there) == len(table.names):
        return frame
    older = OlderTable(frame)
    older.lacking = {
        name: f"'{path}' has no column '{name}' in {table.name}: the hybridmpi that wrote it did "
        "not record that yet; take a run of a newer one, or do without"
        for name in table.names
        if name not in there
    }
    return older


def _decoded(values: NDArray[Any]) -> NDArray[Any]:
    return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values
