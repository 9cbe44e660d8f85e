"""What a run file holds: its tables, their columns, and what each column means.

The meanings are stored in the file beside the columns, so that a run file explains itself. Columns
are read by name. The minor version goes up when something is added: a column, a table, an
attribute; older readers pass it over. The major version goes up when something that is there gets
another meaning, or goes: older readers refuse such files.
"""

import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridmpi.core.metrics import Metric

SCHEMA_VERSION, SCHEMA_MINOR = 1, 1
RUNNING = "running"
END_STATUSES = ("complete", "stopped", "failed")
CHUNK_BYTES = 2**16
PAGE_BYTES = 4096  # the kernel's
LONGEST_TEXT = 2**22  # characters of an attribute
# Attributes that are known at the end only, and what stands there until then. All are there from
# the beginning, so that the end is written in place: that needs no room on a disk that may be full,
# and leaves a file that can be read whenever the process is killed.
ENDINGS: dict[str, str | int | float] = {
    "duration_s": math.nan,
    "bytes_sent": -1,
    "content_sha256": "",
    "error": "",
}
WRITTEN_IN_PLACE = ("status", *ENDINGS)
_TEXT_BYTES = {"content_sha256": 64, "error": 8192, "status": 8}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: With its unit.
        dtype: The numpy dtype.
        meaning: What it says.
        former: What it would have said in files that are older than the column; None if that is
            not known, so that readers must do without it.
    """

    name: str
    dtype: str
    meaning: str
    former: int | float | None = None

    def encode(self, text: str) -> bytes:
        """Return `text` in UTF-8, cut between two characters where it is too long.

        One byte stays free for the zero that ends it in the file.
        """
        num_bytes = np.dtype(self.dtype).itemsize - 1
        whole = text.encode(errors="replace")
        return whole[:num_bytes].decode(errors="ignore").encode()


@dataclass(frozen=True)
class Table:
    """One table: a dataset of compound rows; some columns may be metrics."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    metrics: tuple[Metric, ...] = ()

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """The compound dtype of a row."""
        return np.dtype([(column.name, column.dtype) for column in self.columns])

    @property
    def chunk_rows(self) -> int:
        """How many rows HDF5 stores together."""
        return CHUNK_BYTES // self.dtype.itemsize

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def known_columns(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Return rows of a file with this table's columns, as far as the file says them.

        Columns that this version does not know are left out; those that are newer than the file
        are filled in where it is known what they would have said, and missing where it is not.

        Raises:
            ValueError: If a column holds something else than it should.
        """
        if rows.dtype == self.dtype:
            return rows
        there = rows.dtype.names or ()
        columns = [each for each in self.columns if each.name in there or each.former is not None]
        types = {each.name: rows.dtype[each.name] for each in columns if each.name in there}
        for name, dtype in types.items():
            if dtype.kind != self.dtype[name].kind:
                raise ValueError(f"{name} in {self.name} is of type {dtype}")
        taken = np.empty(
            len(rows), [(each.name, types.get(each.name, each.dtype)) for each in columns]
        )
        for each in columns:
            taken[each.name] = rows[each.name] if each.name in there else each.former
        return taken

    def limited_to(self, names: Container[object]) -> "Table":
        """Return the table without the columns that are not among these."""
        return replace(self, columns=tuple(each for each in self.columns if each.name in names))

    def to_array(self, rows: Iterable[Sequence[object]]) -> NDArray[np.void]:
        """Convert rows, values in column order and text as str, to an array of `dtype`."""
        text = [(i, column) for i, column in enumerate(self.columns) if column.dtype[0] == "S"]
        records = []
        for row in rows:
            record = list(row)
            for i, column in text:
                record[i] = column.encode(str(record[i]))
            records.append(tuple(record))
        return np.array(records, dtype=self.dtype)


TIME = Column("time_s", "f8", "seconds since the training clock started")
WORKER = Column("worker", "i4", "the worker's rank, 1 to N")
VERSION = Column("version", "i8", "version of the parameters: the number of steps taken")

GRADIENTS = Table(
    "gradients",
    "one row per push, in the order of arrival",
    (
        TIME,
        WORKER,
        Column("batch", "i8", "the worker's batch counter, from 0"),
        Column("version", "i8", "version of the parameters that the gradient was computed at"),
        Column("staleness", "i8", "the server's version at arrival minus the push's version"),
        Column(
            "accepted", "?", "whether the gradient entered the buffer; if not, it was discarded"
        ),
        Column("weight", "f8", "its factor in the aggregated gradient; 0 while in no step"),
        Column("step", "i8", "the version that it is part of; -1 if none: discarded or buffered"),
        Column("loss", "f8", "mean loss of the mini-batch, before the step"),
        Column("samples", "i8", "samples in the mini-batch"),
        Column("compute_s", "f8", "seconds spent computing it, without the job's extra delays"),
        Column("wait_s", "f8", "seconds that the worker waited for its release before that"),
        Column("server_s", "f8", "seconds that the server was busy with it, and with its step"),
        Column("assignment", "i4", "how often shards had been shared out anew for its batch", 0),
    ),
)
STEPS = Table(
    "steps",
    "one row per optimizer step",
    (
        TIME,
        Column("version", "i8", "version of the parameters that the step made, from 1"),
        Column("threshold", "i8", "number of buffered gradients that triggers a step"),
        Column("gradients", "i8", "gradients in the step; can exceed the threshold"),
        Column("learning_rate", "f8", "learning rate of the step"),
        Column("mean_staleness", "f8", "mean staleness of the step's gradients, in versions"),
        Column("max_staleness", "i8", "largest staleness of the step's gradients, in versions"),
        Column("train_loss", "f8", "mean mini-batch loss of the step's gradients"),
    ),
)
EVALUATIONS = Table(
    "evaluations",
    "one row per evaluated snapshot",
    (
        TIME,
        VERSION,
        Column("epoch", "f8", "samples in steps so far, divided by the training set's samples"),
    ),
)
HIGHER_IS_BETTER, LOWER_IS_BETTER = "higher is better", "lower is better"
WORKERS = Table(
    "workers",
    "one row per worker",
    (
        Column("rank", "i4", "the worker's rank, 1 to N"),
        Column("host", "S64", "name of the machine"),
        Column("device", "S32", "the torch device"),
        Column("shard_size", "i8", "training samples that the worker owns"),
        Column("delayed", "?", "whether the worker's gradients are delayed on purpose"),
    ),
)
EVENTS = Table(
    "events",
    "one row per event",
    (
        TIME,
        Column(
            "kind", "S16", "late, cancelled, non-finite, lost, joined, checkpoint, unevaluated, end"
        ),
        Column("worker", "i4", "the worker's rank; 0 for the server"),
        Column("detail", "S240", "what happened, in words"),
        Column("gradients", "i8", "pushes that had arrived before it"),
    ),
)
SNAPSHOTS = Table(
    "snapshots/versions",
    "one row per kept snapshot: row n belongs to snapshots/parameters[n]",
    (TIME, VERSION),
)

LOGS = (GRADIENTS, STEPS, EVALUATIONS, EVENTS)


@cache
def evaluations_by(metrics: tuple[Metric, ...]) -> Table:
    """Return the table of evaluations with a column for each metric, the one that decides last."""
    columns = tuple(Column(each.name, "f8", each.meaning) for each in reversed(metrics))
    table = EVALUATIONS
    return Table(table.name, table.meaning, (*table.columns, *columns), metrics)


def tables_with(metrics: tuple[Metric, ...]) -> tuple[Table, ...]:
    """Return the tables that every run file has, evaluations with these metrics."""
    named = (evaluations_by(metrics) if table is EVALUATIONS else table for table in LOGS)
    return (*named, WORKERS)


def in_place(name: str, value: str | int | float) -> NDArray[Any]:
    """Return the value of `status` or one of `ENDINGS` as the file has it: always as long.

    Of a text that is too long the middle is left out: a traceback begins with what failed, and ends
    with why.
    """
    if not isinstance(value, str):
        return np.array(value, type(ENDINGS[name]))
    num_bytes = _TEXT_BYTES[name]
    whole = value.encode(errors="replace")
    if len(whole) > num_bytes:
        half = num_bytes // 2 - 8
        parts = (whole[:half], b"\n[...]\n", whole[-half:])
        whole = b"".join(parts).decode(errors="ignore").encode()
    return np.array(whole, f"S{num_bytes + 1}")  # a zero ends it
