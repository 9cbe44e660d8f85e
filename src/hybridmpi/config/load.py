"""Reads a job file and applies what was set on the command line."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hybridmpi.config.explain import explain
from hybridmpi.config.former import with_former_defaults
from hybridmpi.config.job import Job
from hybridmpi.config.paths import ELSEWHERE
from hybridmpi.config.toml import read_toml
from hybridmpi.errors import UserError


def load_job(path: Path, settings: Iterable[str] = (), *, elsewhere: bool = False) -> Job:
    """Read a job file.

    Args:
        path: A TOML file.
        settings: What replaces fields of the file, each as "section.field=value"; the value is
            TOML, or a bare word. An empty value takes the field out. Setting a `schedule` to
            another one takes the old one's parameters out.
        elsewhere: Whether it is to run on another machine, where $VARIABLES may be set that are
            not set here.

    Returns:
        The checked job.

    Raises:
        UserError: If the file, a setting or a field is wrong; all wrong fields are named.
    """
    return parse_job(read_tree(path, settings), str(path), elsewhere=elsewhere)


def read_tree(path: Path, settings: Iterable[str] = (), kind: str = "job") -> dict[str, Any]:
    """Read a TOML file and apply settings as in `load_job`; no field is checked.

    Args:
        path: The file.
        settings: What replaces fields of it.
        kind: What the file holds, for the message of an error.

    Raises:
        UserError: If the file cannot be read, or a setting not be applied.
    """
    tree = read_toml(path, kind)
    for setting in settings:
        _apply(tree, setting)
    return tree


def change_job(config: Any, settings: Iterable[str], source: str) -> Job:
    """Return the job of a run file or a checkpoint, with fields replaced as in `load_job`.

    A field that it lacks is as it was before the field existed.

    Another preset takes out what the old one had filled in.

    Raises:
        UserError: If a setting or a field is wrong.
    """
    tree = json.loads(json.dumps(config))
    settings = list(settings)
    if not isinstance(tree, dict) or not isinstance(tree.get("method", {}), dict):
        raise UserError(f"{source} holds no job; use another copy of it")
    tree = with_former_defaults(tree)
    if any(setting.partition("=")[0].strip() == "method.preset" for setting in settings):
        for name in ("after_push", "stale"):
            tree.get("method", {}).pop(name, None)
    for setting in settings:
        _apply(tree, setting)
    return parse_job(tree, source)


def parse_job(tree: Mapping[str, Any], source: str, *, elsewhere: bool = False) -> Job:
    """Check a job that has been read from `source`; see `load_job`."""
    try:
        return Job.model_validate(tree, context=ELSEWHERE if elsewhere else None)
    except ValidationError as error:
        lines = [explain(details) for details in error.errors()]
    except RecursionError:
        lines = ["tables are nested too deeply"]
    raise UserError(f"{source}: " + f"\n{source}: ".join(dict.fromkeys(lines)))


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
    """Return what TOML makes of a text, or the text itself where it is a bare word."""
    try:
        tree = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # tomllib lets int's limit of 4300 digits through
        return text
    return tree["value"] if len(tree) == 1 else text
