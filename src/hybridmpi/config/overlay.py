"""Tables of fields laid over a job."""

from collections.abc import Iterator, Mapping
from typing import Any

# A table that has one of these is of a kind, and fields of another kind have no place in it.
_KINDS = ("schedule", "rule", "distribution")
_DEFAULT_PRESET = "hybrid"


def overlay(job: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job, not yet checked, with the fields of a table in place of its own.

    Tables are laid over tables, field by field, but for two cases in which nothing of the job's
    own table is left: a table that names its `schedule`, `rule` or `distribution`, and a [method]
    whose preset is another one, since threshold, after_push and the like were the old one's.
    """
    method = table.get("method")
    if isinstance(method, Mapping) and "preset" in method:
        old = job.get("method", {})
        if not isinstance(old, Mapping) or old.get("preset", _DEFAULT_PRESET) != method["preset"]:
            job = {**job, "method": {}}
    return {**job, **{key: _merged(job.get(key), value) for key, value in table.items()}}


def field_as_table(name: str, value: Any) -> dict[str, Any]:
    """Return the table that gives one field, by its dotted name, a value."""
    for key in reversed(name.split(".")):
        value = {key: value}
    return dict(value)


def fields_of(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the fields of nested tables by their dotted names."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from fields_of(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    if any(kind in new for kind in _KINDS):
        return dict(new)
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
