"""Rows on their way to a table of the run file."""

from itertools import groupby
from typing import Any

from hybridmpi.runlog.schema import CHUNK_BYTES, Table


class TableBuffer:
    """Collects new and amended rows of one table in memory, and writes them on `flush`.

    A row is known by its number in the table. Rows that have been written are not kept: memory
    grows with the changes since the last flush alone, however long a row waits to be amended.
    """

    def __init__(self, table: Table, dataset: Any) -> None:
        self._table = table
        self._dataset = dataset
        self._num_written = len(dataset)
        self._new: list[list[Any]] = []
        self._amended: dict[int, dict[str, Any]] = {}

    def append(self, row: list[Any]) -> int:
        """Add a row, values in column order, and return its number."""
        self._new.append(row)
        return self._num_written + len(self._new) - 1

    def amend(self, number: int, values: dict[str, Any]) -> None:
        """Change some columns of row `number`."""
        if number < self._num_written:
            self._amended.setdefault(number, {}).update(values)
            return
        row = self._new[number - self._num_written]
        for column, value in values.items():
            row[self._table.position[column]] = value

    @property
    def growth_bytes(self) -> int:
        """Bytes by which the table grows, at most, when it is flushed."""
        return len(self._new) * self._table.dtype.itemsize + CHUNK_BYTES if self._new else 0

    def flush(self) -> bool:
        """Write what has changed, and tell whether anything had."""
        has_changed = bool(self._new or self._amended)
        if self._amended:
            self._rewrite()
        if self._new:
            self._extend()
        return has_changed

    def _extend(self) -> None:
        size = self._num_written + len(self._new)
        self._dataset.resize(size, axis=0)
        self._dataset[self._num_written :] = self._table.to_array(self._new)
        self._num_written = size
        self._new = []

    def _rewrite(self) -> None:
        # By chunk: few reads and writes when many rows have changed, small ones when few have.
        chunk_rows = self._dataset.chunks[0]
        for chunk, numbers in groupby(sorted(self._amended), lambda number: number // chunk_rows):
            first = chunk * chunk_rows
            end = min(first + chunk_rows, self._num_written)
            rows = self._dataset[first:end]
            for number in numbers:
                for column, value in self._amended[number].items():
                    rows[column][number - first] = value
            self._dataset[first:end] = rows
        self._amended = {}
