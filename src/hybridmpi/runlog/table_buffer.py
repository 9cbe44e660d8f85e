"""Rows on their way to a table of the run file."""

from itertools import groupby
from typing import Any

import numpy as np

from hybridmpi.runlog.schema import CHUNK_BYTES, Span, Table


class TableBuffer:
    """Collects new and amended rows of one table in memory, and writes them on `flush`.

    A row is known by its number in the table. Rows that have been written are not kept: memory
    grows with the changes since the last flush alone, however long a row waits to be amended.
    """

    def __init__(self, table: Table, dataset: Any) -> None:
        self._table = table
        self._pack = table.row.pack
        self._dataset = dataset
        self._num_written = self._next = len(dataset)
        # Rows as the file holds them. Packing a row takes half a microsecond; collecting values to
        # convert them later takes several, and the server's loop pays for both.
        self._new = bytearray()
        self._amended: dict[int, dict[str, Any]] = {}

    def append(self, *values: Any) -> int:
        """Add a row, values in column order and text as bytes, and return its number."""
        self._new += self._pack(*values)
        self._next += 1
        return self._next - 1

    def amend(self, number: int, span: Span, *values: Any) -> None:
        """Change neighbouring columns of row `number`."""
        position = number - self._num_written
        if position < 0:
            self._amended.setdefault(number, {}).update(zip(span.columns, values, strict=True))
        else:
            offset = position * self._table.row.size + span.offset
            span.part.pack_into(self._new, offset, *values)

    @property
    def growth_bytes(self) -> int:
        """Bytes by which the table grows, at most, when it is flushed."""
        return len(self._new) + CHUNK_BYTES if self._new else 0

    def flush(self) -> bool:
        """Write what has changed, and tell whether anything had."""
        has_changed = bool(self._new or self._amended)
        if self._amended:
            self._rewrite()
        if self._new:
            self._extend()
        return has_changed

    def _extend(self) -> None:
        self._dataset.resize(self._next, axis=0)
        self._dataset[self._num_written :] = np.frombuffer(self._new, self._table.dtype)
        self._num_written = self._next
        self._new = bytearray()

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
