"""Which workers are there when, read from a CSV file."""

import csv
from dataclasses import dataclass
from pathlib import Path

from hybridmpi.engines.simulate.times import NS
from hybridmpi.errors import UserError
from hybridmpi.text_files import decoded

_COLUMNS = ["time_s", "worker", "event"]


@dataclass(frozen=True, slots=True)
class Change:
    """A worker joins, or leaves."""

    time_ns: int
    worker: int
    joins: bool


@dataclass(frozen=True, slots=True)
class Availability:
    """Which workers are there at the start, and what changes, in the order of time."""

    present: tuple[int, ...]
    changes: tuple[Change, ...] = ()


def always(num_workers: int) -> Availability:
    """Return the availability of workers that stay."""
    return Availability(tuple(range(1, num_workers + 1)))


def read_trace(path: Path, num_workers: int) -> Availability:
    """Read a trace: a CSV file with the columns time_s, worker, and event (join or leave).

    Values are separated by commas, semicolons or tabs, as in the header.

    A worker whose first event is `join` is not there at the start; one without events stays.

    Raises:
        UserError: If the file cannot be read, a line is wrong, or no worker would be left.
    """
    changes = sorted(_lines(path, num_workers), key=lambda change: change.time_ns)
    present = set(range(1, num_workers + 1))
    for change in reversed(changes):
        (present.discard if change.joins else present.add)(change.worker)
    availability = Availability(tuple(sorted(present)), tuple(changes))
    _check(path, availability)
    return availability


def _lines(path: Path, num_workers: int) -> list[Change]:
    try:
        text = decoded(path.read_bytes(), f"the trace {path}")
    except OSError as error:
        raise UserError(f"the trace {path} cannot be read: {error.strerror or error}") from error
    separator = next((mark for mark in ";\t" if mark in text.partition("\n")[0]), ",")
    reader = csv.DictReader(text.splitlines(), delimiter=separator, skipinitialspace=True)
    try:
        columns = reader.fieldnames and [name.strip() for name in reader.fieldnames]
        if columns != _COLUMNS:
            raise UserError(f"the trace {path} has the columns {columns}, but must have {_COLUMNS}")
        reader.fieldnames = columns
        return [_change(path, reader.line_num, line, num_workers) for line in reader]
    except csv.Error as error:
        raise UserError(f"the trace {path} cannot be read: {error}") from error


def _change(path: Path, number: int, line: dict[str, str], num_workers: int) -> Change:
    where = f"the trace {path}, line {number}"
    if len(line) > len(_COLUMNS):
        raise UserError(f"{where}: has more than the {len(_COLUMNS)} values {_COLUMNS}")
    try:
        # Where ";" separates values, a spreadsheet may write 0,5 for 0.5.
        time_s, worker = float(line["time_s"].replace(",", ".")), int(line["worker"])
    except (AttributeError, TypeError, ValueError):  # a value that is missing is None
        raise UserError(f"{where}: time_s and worker must be numbers, not {line}") from None
    if not 0 <= time_s < 1e9:
        raise UserError(f"{where}: time_s is {time_s}, but must be at least 0 and below 1e9")
    if not 1 <= worker <= num_workers:
        raise UserError(f"{where}: worker is {worker}, but must be 1 to {num_workers}")
    event = str(line["event"]).strip()
    if event not in ("join", "leave"):
        raise UserError(f"{where}: event is '{event}', but must be join or leave")
    return Change(round(NS * time_s), worker, event == "join")


def _check(path: Path, availability: Availability) -> None:
    present = set(availability.present)
    if not present:
        raise UserError(f"the trace {path} leaves no worker at the start; let one stay")
    for change in availability.changes:
        if (change.worker in present) == change.joins:
            state = "there already" if change.joins else "not there"
            verb = "joins" if change.joins else "leaves"
            raise UserError(
                f"the trace {path}: worker {change.worker} {verb} at {change.time_ns / NS:g} s, "
                f"but is {state}"
            )
        present ^= {change.worker}
        if not present:
            raise UserError(
                f"the trace {path} leaves no worker at {change.time_ns / NS:g} s; let one stay"
            )
