"""Rows on their way to a table of the run file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class TableBuffer:
    """Collects new rows of one table, and changes to rows, and writes them on `flush`.

    A row is known by its number in the table.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._dtype = dataset.dtype  # with the marks of text that HDF5 asks for
        self._next = len(dataset)
        self._new: list[NDArray[np.void]] = []
        self._amended: list[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]] = []

    def __len__(self) -> int:
        return self._next

    def append(self, rows: NDArray[np.void]) -> int:
        """Add rows and return the number of the first."""
        first, self._next = self._next, self._next + len(rows)
        if len(rows):
            self._new.append(rows)
        return first

    def amend(self, numbers: NDArray[np.int64], **columns: NDArray[Any]) -> None:
        """Change columns of these rows, numbers ascending."""
        if len(numbers):
            self._amended.append((numbers, columns))

    @property
    def num_written(self) -> int:
        """Number of rows in the file."""
        return len(self._dataset)

    @property
    def has_changed(self) -> bool:
        """Whether there is anything to be written."""
        return bool(self._new or self._amended)

    @property
    def growth_bytes(self) -> int:
        """Bytes by which the table grows, at most, when it is flushed."""
        new_bytes = sum(rows.nbytes for rows in self._new)
        return new_bytes + self._dtype.itemsize * self._dataset.chunks[0] if new_bytes else 0

    def flush(self) -> bool:
        """Write what has changed, and tell whether anything had."""
        new, amended, self._new, self._amended = self._new, self._amended, [], []
        written = len(self._dataset)
        rows = np.concatenate(new) if new else np.empty(0, self._dtype)
        old = min((int(numbers[0]) for numbers, _ in amended), default=written)
        if old < written:  # few: they have waited in the gradient buffer
            rows = np.concatenate([self._dataset[old:written], rows])
        first = min(old, written)
        for numbers, columns in amended:
            for name, values in columns.items():
                rows[name][numbers - first] = values
        if len(rows):
            self._dataset.resize(self._next, axis=0)
            self._dataset[first:] = rows.view(self._dtype)
        return len(rows) > 0
