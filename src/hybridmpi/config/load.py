"""Reads a job file, applies what was set on the command line, and explains what is wrong."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hybridmpi.config.job import Job
from hybridmpi.config.schedules import SCHEDULES
from hybridmpi.errors import UserError, nearest

_LARGEST_FILE = 1 << 20


def load_job(path: Path, settings: Iterable[str] = ()) -> Job:
    """Read a job file.

    Args:
        path: A TOML file.
        settings: What replaces fields of the file, each as "section.field=value"; the value is
            TOML, or a bare word. An empty value takes the field out. Setting a `schedule` to
            another one takes the old one's parameters out.

    Returns:
        The checked job.

    Raises:
        UserError: If the file, a setting or a field is wrong; all wrong fields are named.
    """
    tree = _read(path)
    for setting in settings:
        _apply(tree, setting)
    return parse_job(tree, str(path))


def parse_job(tree: Mapping[str, Any], source: str) -> Job:
    """Check a job that has been read from `source`."""
    try:
        return Job.model_validate(tree)
    except ValidationError as error:
        lines = [_explain(details) for details in error.errors()]
        raise UserError(f"{source}: " + f"\n{source}: ".join(dict.fromkeys(lines))) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise UserError(f"the job file {path} cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST_FILE:
        raise UserError(f"the job file {path} is larger than 1 MiB; is it one?")
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not a TOML file: {error}") from None


def _apply(tree: dict[str, Any], setting: str) -> None:
    name, equals, text = setting.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {setting}: must be section.field=value, e.g. --set run.seed=3")
    table = tree
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise UserError(f"--set {setting}: '{key}' is a value, not a table")
    value = _value(text.strip())
    if keys[-1] == "schedule" and value != table.get("schedule"):
        table.clear()
    if text.strip():
        table[keys[-1]] = value
    else:
        table.pop(keys[-1], None)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _explain(details: ErrorDetails) -> str:
    """Say in one line where a job is wrong, what is allowed, and how to mend it."""
    names = [str(part) for part in details["loc"] if part not in SCHEDULES]
    place = ".".join(names) or "the job"
    message = details["msg"].removeprefix("Value error, ")
    match details["type"]:
        case "extra_forbidden":
            return f"{place}: unknown field; {nearest(names[-1], _fields(details['loc'][:-1]))}"
        case "missing":
            return f"{place}: missing"
        case "union_tag_invalid":
            given = details["ctx"]["tag"]
            return f"{place}.schedule: there is no '{given}'; {nearest(given, SCHEDULES)}"
        case "union_tag_not_found":
            return f"{place}: needs a `schedule`; {nearest('', SCHEDULES)}"
        case "value_error":
            return f"{place}: {message}"
    given = details["input"]
    shown = f", not {given!r}"[:60] if isinstance(given, (str, int, float, bool)) else ""
    return f"{place}: {message[:1].lower()}{message[1:]}{shown}"


def _fields(location: tuple[int | str, ...]) -> list[str]:
    """Return the names of the fields that are allowed at a place in a job."""
    model: type[BaseModel] = Job
    for part in location:
        if part in SCHEDULES:
            model = SCHEDULES[str(part)]
        elif isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            choices = [annotation, *get_args(annotation)]
            model = next((c for c in choices if _is_table(c)), model)
    return list(model.model_fields)


def _is_table(choice: Any) -> bool:
    return isinstance(choice, type) and issubclass(choice, BaseModel)
