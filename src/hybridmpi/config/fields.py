"""The fields of a job by their dotted names, and what each changes."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from hybridmpi.config.changes import Changes
from hybridmpi.config.job import Job
from hybridmpi.config.overlay import fields_of


def changes_of(name: str) -> Changes:
    """Return what a field changes, given its dotted name.

    A field inside a table has the marker of the field that holds it. One that no section lists (an
    option of the optimizer, a field of another version's job) changes the result.
    """
    section, _, rest = name.partition(".")
    return _markers().get(f"{section}.{rest.partition('.')[0]}", Changes.RESULT)


def open_to_resumed_runs() -> frozenset[str]:
    """Return the dotted names of the fields that may change when a run is resumed."""
    return frozenset(name for name, kind in _markers().items() if kind.is_open_to_resumed_runs)


def differing_fields(one: Job, other: Job) -> Iterator[tuple[str, Any, Any]]:
    """Yield the dotted names of fields in which two jobs differ, and both values, by name."""
    own, others = (dict(fields_of(job.model_dump(mode="json"))) for job in (one, other))
    for name in sorted(own.keys() | others.keys()):
        if own.get(name) != others.get(name):
            yield name, own.get(name), others.get(name)


def fields_that_count(job: Job, engine: str) -> dict[str, dict[str, Any]]:
    """Return the sections of a job as JSON holds them, with what counts for runs of an engine."""
    given: Mapping[str, Mapping[str, Any]] = job.model_dump(mode="json")
    return {
        section: {
            name: value
            for name, value in table.items()
            if changes_of(f"{section}.{name}").counts_for(engine)
        }
        for section, table in given.items()
    }


@cache
def _markers() -> Mapping[str, Changes]:
    markers = {}
    for section, held in Job.model_fields.items():
        table = held.annotation
        assert isinstance(table, type)
        assert issubclass(table, BaseModel)
        for name, field in table.model_fields.items():
            (marker,) = (each for each in field.metadata if isinstance(each, Changes))
            markers[f"{section}.{name}"] = marker
    return markers
