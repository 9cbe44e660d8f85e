"""Writes a resolved job as TOML: every field with its meaning, and whether the job gave it.

The text is a job file itself: read again, it is the same job.
"""

import json
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from hybridmpi.config.job import Job, MethodSection
from hybridmpi.config.schedules import Table

_HEAD = "A value is the job's own, unless it is marked: (default), or (preset) for the method's."
_COMMENT_COLUMN = 34
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def resolved(job: Job, width: int = 100) -> str:
    """Return the job as TOML, with comments in lines of about `width` characters."""
    head = "\n".join(f"# {line}" for line in textwrap.wrap(_HEAD, width - 2))
    written = job.model_dump()
    parts = [_section(name, section, width, only=written[name].keys()) for name, section in job]
    return "\n\n".join([head, *parts]) + "\n"


def section_as_toml(name: str, section: Table, width: int = 100) -> str:
    """Return one section of a job as TOML, as `resolved` does."""
    return _section(name, section, width) + "\n"


def _section(
    name: str,
    table: Table,
    width: int,
    meaning: str = "",
    origin: str = "",
    only: Collection[str] | None = None,
) -> str:
    """Return a table and, behind it, the tables in it."""
    fields = dict(sorted(table, key=lambda field: field[0] != "schedule"))
    fields = {key: value for key, value in fields.items() if only is None or key in only}
    inner = {key: value for key, value in fields.items() if isinstance(value, Table)}
    meaning = meaning or type(table).__doc__ or ""
    lines = [*_comment(f"{origin}{meaning}", width), f"[{name}]"]
    for key, value in fields.items():
        if key not in inner:
            lines += _field(key, value, _origin(table, key), _meaning(table, key), width)
    tables = [
        _section(f"{name}.{key}", value, width, _meaning(table, key), _origin(table, key))
        for key, value in inner.items()
    ]
    return "\n\n".join(["\n".join(lines), *tables])


def _origin(table: Table, key: str) -> str:
    if getattr(table, key) is None:
        return "(not set) "
    if isinstance(table, MethodSection) and key in table.fields_of_preset:
        return "(preset) "
    return "" if key in table.model_fields_set else "(default) "


def _meaning(table: Table, key: str) -> str:
    if key == "schedule":
        return type(table).__doc__ or ""
    field = type(table).model_fields.get(key)
    return "an option of the optimizer" if field is None else field.description or ""


def _field(key: str, value: Any, origin: str, meaning: str, width: int) -> Iterator[str]:
    """Write a field with its comment to the right, or above where it is too long for that."""
    text = f"{_key(key)} = {_value(value)}" if value is not None else f"# {key} ="
    comment = origin + meaning
    if len(text) >= _COMMENT_COLUMN:
        yield from _comment(comment, width)
        yield text
        return
    for line in _comment(comment, width - _COMMENT_COLUMN) or [""]:
        yield f"{text:{_COMMENT_COLUMN}}{line}".rstrip()
        text = ""


def _comment(text: str, width: int) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, width - 2)]


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    """Write a value in TOML, tables in one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | Path():
            # JSON's escapes are TOML's, but for the one character that only TOML escapes.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case Table():  # a piece of a joined schedule, whose unit is the whole one's
            return _value(value.model_dump(exclude_none=True, exclude={"unit"}))
        case Mapping():
            return (
                f"{{{', '.join(f'{_key(key)} = {_value(item)}' for key, item in value.items())}}}"
            )
    return repr(value)
