"""The process that reads run files: what it is asked for comes by stdin, what it read by stdout.

A request is a line of JSON; so is the head of its answer, and the bytes of arrays follow. Each
request has limits of memory and of processor time, in proportion to the length of its file, beyond
which this process is ended by the system: whoever asked sees that, and starts another one.
"""

import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hybridmpi.errors import UserError
from hybridmpi.runlog.content import PARTS, content_hash
from hybridmpi.runlog.reading import stored
from hybridmpi.runlog.reading.exchange import Reading, dtype_as_json, length
from hybridmpi.runlog.reading.run_file import open_run_file
from hybridmpi.runlog.schema import SNAPSHOTS, tables_with

_ADDED_BYTES = 2**28  # of memory, beyond twice a file's length: rows are copied once
_LEAST_CPU_S = 10
_CPU_BYTES_PER_S = 20e6  # of a file
_STATM = Path("/proc/self/statm")  # only Linux has it, and only there is memory limited


def attributes(path: Path) -> Reading:
    """Read the attributes of a run, and nothing else."""
    with open_run_file(path) as file:
        return Reading({"attributes": stored.attributes(file)}, {})


def content(path: Path) -> Reading:
    """Read all but the parameters of snapshots."""
    with open_run_file(path) as file:
        final = stored.vectors(file, "final", 1)
        metrics = stored.metrics(file)
        values: dict[str, Any] = {
            "attributes": stored.attributes(file),
            "final_version": int(stored.attribute(final, "version")),
            "metrics": [asdict(metric) for metric in metrics],
        }
        tables = [*tables_with(metrics)]
        if stored.has_group(file, SNAPSHOTS.name.partition("/")[0]):
            tables.append(SNAPSHOTS)
        held = {table.name: stored.table_dataset(file, table.name)[()] for table in tables}
        held["final"] = final[()]
        _check_content(values["attributes"], held)
        return Reading(
            values, held | {each.name: each.known_columns(held[each.name]) for each in tables}
        )


def beginning(path: Path, counts: Mapping[str, int]) -> Reading:
    """Read so many rows of each log, or all where there are fewer."""
    with open_run_file(path) as file:
        tables = tables_with(stored.metrics(file))
        held = {
            table.name: stored.table_dataset(file, table.name)[: counts[table.name]]
            for table in tables
            if table.name in counts
        }
        return Reading(
            {},
            {
                each.name: each.known_columns(held[each.name])
                for each in tables
                if each.name in held
            },
        )


def _check_content(attributes: Mapping[str, Any], held: Mapping[str, NDArray[Any]]) -> None:
    """Notice damage to the rows of a run that has ended; HDF5 has no checksum of them."""
    known = attributes.get("content_sha256")
    if known and known != content_hash(held[part] for part in PARTS):
        raise ValueError("its rows are not those that it was closed with")


def snapshot(path: Path, number: int) -> Reading:
    """Read the parameters of a snapshot."""
    with open_run_file(path) as file:
        held = stored.vectors(file, "snapshots/parameters", 2)
        return Reading({}, {"snapshot": held[number]})


_READS = {read.__name__: read for read in (attributes, content, beginning, snapshot)}


def main() -> None:
    """Answer requests until there are no more."""
    # What libraries print is not part of an answer.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        own_bytes = _address_space()
        for line in sys.stdin:
            request = json.loads(line)
            if request["folder"] is not None:
                os.chdir(request["folder"])
            path = Path(request["path"])
            _limit(length(path), own_bytes)
            _answer(answers, request["read"], path, request["arguments"])


def _answer(answers: IO[bytes], read: str, path: Path, arguments: list[Any]) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    head: dict[str, Any] = {}
    try:
        values, arrays = _READS[read](path, *arguments)
        described = {name: (len(held), dtype_as_json(held.dtype)) for name, held in arrays.items()}
        head = {"values": values, "arrays": described}
    except UserError as error:
        head = {"refused": str(error)}
    except Exception:
        head = {"failed": traceback.format_exc()}
    answers.write(json.dumps(head).encode() + b"\n")
    for held in arrays.values():
        answers.write(np.ascontiguousarray(held).view(np.uint8).data)
    answers.flush()


def _limit(num_bytes: int, own_bytes: int | None) -> None:
    """Limit what may be taken from here on to what reading so long a file can need."""
    cpu_s = time.process_time() + _LEAST_CPU_S + num_bytes / _CPU_BYTES_PER_S
    _limit_softly(resource.RLIMIT_CPU, round(cpu_s))
    if own_bytes is not None:
        _limit_softly(resource.RLIMIT_AS, own_bytes + 2 * num_bytes + _ADDED_BYTES)


def _limit_softly(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _address_space() -> int | None:
    if not _STATM.exists():
        return None
    return int(_STATM.read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main()
