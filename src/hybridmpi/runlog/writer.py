"""Writing the run file while the run goes on."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hybridmpi.core.metrics import CLASSIFICATION, Metric
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.runlog import file_format, objects, schema
from hybridmpi.runlog.claim import Claim
from hybridmpi.runlog.content import PARTS, content_hash
from hybridmpi.runlog.replacing import check_free, replacing
from hybridmpi.runlog.room import check_room
from hybridmpi.runlog.schema import Table
from hybridmpi.runlog.table_buffer import TableBuffer


class RunWriter:
    """Writes one run file, which others can read at the same time (HDF5's SWMR mode).

    Rows are kept in memory; `flush` writes. Whatever ends the process, and whenever, the file
    holds everything up to the last flush: it is in SWMR mode from the moment at which it appears
    until it is closed, and nothing else leaves a file at every moment that HDF5 can open.
    """

    def __init__(self, path: Path, beside: Path, metrics: Sequence[Metric]) -> None:
        """Open the file `beside`, as `create` made it, for concurrent reading.

        Args:
            path: The run file that it is to become.
            beside: Where it still is.
            metrics: What `evaluation` records.
        """
        self.path = path
        self._evaluations = schema.evaluations_by(tuple(metrics))
        self._final_version = -1
        self._is_open = True
        self._failure = ""  # of a write; what has been written by then stays as it is
        self._is_sound = True  # whether HDF5 has succeeded in all that it was asked for
        self._saved = (0, 0)  # gradients and steps in the file
        with self._named_errors():
            self._file = file_format.reopen(beside)
            self._descriptor = self._file.id.get_vfd_handle()
            self._claim = Claim(path, beside)
            self._tables = {
                table.name: TableBuffer(self._file[table.name])
                for table in (*schema.LOGS, schema.SNAPSHOTS)
                if table.name in self._file
            }
            self._file.swmr_mode = True
        self._count_saved()

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        config: Mapping[str, Any],
        attributes: Mapping[str, str | int | float],
        layout_json: str,
        size: int,
        workers: Sequence[tuple[int, str, str, int, bool]],
        metrics: Sequence[Metric] = CLASSIFICATION,
        keep_snapshots: bool = False,
        force: bool = False,
        rows: Mapping[str, NDArray[np.void]] = MappingProxyType({}),
    ) -> Self:
        """Make a run file with status `running`.

        Args:
            path: Where; missing folders are made.
            config: The job, as JSON holds it.
            attributes: What else the file says of the run: versions, hosts, start time.
            layout_json: The layout of a parameter vector: names, shapes, offsets.
            size: Elements of a parameter vector.
            workers: One row per worker: rank, host, device, shard size, whether it is delayed.
            metrics: What `evaluation` records, the one that decides by default first.
            keep_snapshots: Whether `snapshot` keeps the parameters.
            force: Whether a file that is already there may be replaced.
            rows: What the tables hold from the start, by name; others are empty.

        Raises:
            UserError: If the file is there already, or cannot be written there.
        """
        path = Path(path)
        check_free(path, force)
        num_bytes = (
            4 * size
            + len(layout_json)
            + len(workers) * schema.WORKERS.dtype.itemsize
            + sum(table_rows.nbytes for table_rows in rows.values())
        )
        with replacing(path) as beside:
            with file_format.create(beside, num_bytes) as file:
                objects.set_attributes(file, _at_first(attributes, config, layout_json))
                held = {**rows, schema.WORKERS.name: schema.WORKERS.to_array(workers)}
                for table in schema.tables_with(tuple(metrics)):
                    objects.create_table(file, table, held.get(table.name, table.to_array(())))
                # Written once now, so that the room for it is there at the end.
                objects.create_final(file, np.zeros(size, np.float32))
                if keep_snapshots:
                    objects.create_table(file, schema.SNAPSHOTS, schema.SNAPSHOTS.to_array(()))
                    objects.create_snapshots(file, size)
            return cls(path, beside, metrics)

    def num_rows(self) -> dict[str, int]:
        """Return how many rows each table has, recorded ones included."""
        return {table.name: len(self._tables[table.name]) for table in schema.LOGS}

    def rows(self, table: Table) -> NDArray[np.void]:
        """Return the rows of a table that are written."""
        rows: NDArray[np.void] = self._file[table.name][()]
        return rows

    def append(self, table: Table, rows: NDArray[np.void]) -> int:
        """Record rows of a table, an array of its dtype; return the number of the first."""
        return self._tables[table.name].append(rows)

    def amend(self, table: Table, numbers: NDArray[np.int64], **columns: NDArray[Any]) -> None:
        """Change columns of rows that are recorded already, by their numbers, ascending."""
        self._tables[table.name].amend(numbers, **columns)

    def evaluation(
        self, time_s: float, version: int, epoch: float, values: Mapping[str, float]
    ) -> None:
        """Record the evaluation of the parameters that were in force at `time_s`.

        Args:
            time_s: Seconds on the training clock.
            version: Of the parameters.
            epoch: Samples in steps so far, over those of the training set.
            values: Each metric's, by name.

        Raises:
            ValueError: If they are not those of the file's metrics.
        """
        table = self._evaluations
        names = [metric.name for metric in reversed(table.metrics)]
        if values.keys() != set(names):
            raise ValueError(
                f"evaluated were {sorted(values)}, but the metrics are {sorted(names)}"
            )
        row = (time_s, version, epoch, *(values[name] for name in names))
        self.append(table, table.to_array([row]))

    def event(self, time_s: float, kind: str, worker: int, detail: str, gradients: int) -> None:
        """Record an event after so many pushes; `worker` is 0 for the server. Long text is cut."""
        row = (time_s, kind, worker, detail, gradients)
        self.append(schema.EVENTS, schema.EVENTS.to_array([row]))

    def snapshot(self, time_s: float, version: int, parameters: NDArray[np.float32]) -> None:
        """Keep the parameters in force at `time_s`, if the file was made to keep snapshots."""
        index = self._tables.get(schema.SNAPSHOTS.name)
        if index is None:
            return
        dataset = self._file["snapshots/parameters"]
        with self._named_errors():
            self._check_room(parameters.nbytes + dataset.chunks[1] * dataset.dtype.itemsize)
            number = index.append(schema.SNAPSHOTS.to_array([(time_s, version)]))
            dataset.resize(number + 1, axis=0)
            dataset[number] = parameters
            self._file.flush()

    def final(self, parameters: NDArray[np.float32], version: int) -> None:
        """Write the parameters at the end of the run; they count once the file is closed."""
        with self._named_errors():
            final = self._file["final"]
            final[...] = parameters
            final.flush()  # here, where an error counts
        self._final_version = version

    def flush(self) -> None:
        """Write all rows recorded or amended since the last flush, for readers to see.

        Once the file is closed, or a flush has failed, does nothing.

        Raises:
            RunFailed: If the file cannot be written, for example because the disk is full; it then
                still holds everything up to the flush before.
        """
        if not self._is_open or self._failure:  # else this error would hide the first one
            return
        changed = [table for table in self._tables.values() if table.has_changed]
        if not changed:
            return
        with self._named_errors():
            self._check_room(sum(table.growth_bytes for table in changed))
            for table in changed:
                table.flush()
            self._file.flush()
        self._count_saved()

    def close(self, status: str, **ending: str | float) -> None:
        """Write what is left, then how the run ended, its status last.

        If the rows cannot be written, the run has failed, and the file says so: that takes no room.
        Closing a second time does nothing.

        Args:
            status: complete, stopped or failed.
            ending: Of `schema.ENDINGS`, for example duration_s.

        Raises:
            RunFailed: As `flush`, unless `error` says it already; and if another process has put
                its own file in the place.
        """
        if status not in schema.END_STATUSES:
            raise ValueError(f"status is '{status}', but must be one of {schema.END_STATUSES}")
        if not self._is_open:
            return
        told = str(ending.get("error", ""))
        with suppress(RunFailed):  # which `_failure` remembers
            self.flush()
        self._is_open = False
        if self._is_sound:
            with suppress(RunFailed):
                self._end(status, ending)
        self._close_file()
        if self._failure and self._failure not in told:
            raise RunFailed(f"{told}\n{self._failure}" if told else self._failure)
        self._claim.check()

    def _end(self, status: str, ending: Mapping[str, str | float]) -> None:
        """Write how the run ended, in place; the status once all else is in the file."""
        if self._failure:
            told = str(ending.get("error", ""))
            status, ending = "failed", {**ending, "error": told or self._failure}
        attributes = self._file.attrs
        with self._named_errors():
            parts = [self._file[name][()] for name in PARTS]
            for name, value in {**ending, "content_sha256": content_hash(parts)}.items():
                attributes.modify(name, file_format.as_stored(schema.in_place(name, value)))
            self._file["final"].attrs.modify("version", self._final_version)
            self._file.flush()
            attributes.modify("status", file_format.as_stored(schema.in_place("status", status)))
            self._file.flush()

    def _close_file(self) -> None:
        with suppress(RunFailed), self._named_errors():
            self._file.close()

    def _check_room(self, num_bytes: int) -> None:
        try:
            check_room(self._descriptor, num_bytes + file_format.METADATA_BYTES)
        except OSError as error:  # before anything was written
            raise self._failed(error) from error

    def _count_saved(self) -> None:
        gradients, steps = (self._tables[table.name] for table in (schema.GRADIENTS, schema.STEPS))
        self._saved = gradients.num_written, steps.num_written

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:
            if self._is_sound:
                self._is_sound = False
                self._abandon()
            raise self._failed(error) from error

    def _abandon(self) -> None:
        """Let HDF5 write elsewhere from now on, once a write of its own has failed.

        The file can be read as it is, since SWMR mode keeps to an order. But HDF5 would go on with
        what depends on the write that failed, and crash where it still cannot write.
        """
        with suppress(OSError), tempfile.TemporaryFile() as scrap:
            os.dup2(scrap.fileno(), self._descriptor)

    def _failed(self, error: Exception) -> RunFailed:
        gradients, version = self._saved
        self._failure = self._failure or (
            f"writing the run file '{self.path}' failed: {error}; it holds everything up to "
            f"{gradients:,} gradients, version {version:,}"
        )
        return RunFailed(self._failure)


def _at_first(
    attributes: Mapping[str, str | int | float], config: Mapping[str, Any], layout_json: str
) -> dict[str, str | int | float]:
    """Return all attributes of a run that begins."""
    if len(layout_json) > schema.LONGEST_TEXT:
        raise UserError("the model has too many parameter tensors for a run file")
    return {
        **attributes,
        "schema_version": schema.SCHEMA_VERSION,
        "schema_minor": schema.SCHEMA_MINOR,
        **schema.ENDINGS,
        "status": schema.RUNNING,
        "config": json.dumps(config),
        "layout": layout_json,
    }
