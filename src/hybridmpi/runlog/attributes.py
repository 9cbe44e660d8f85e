"""What a run file says of its run besides the tables."""

import json
import math
from pathlib import Path
from typing import Any

from hybridmpi.errors import UserError
from hybridmpi.runlog import schema
from hybridmpi.runlog.reading.damage import damage_told
from hybridmpi.runlog.reading.process import read

_STATUSES = (schema.RUNNING, *schema.END_STATUSES)
_TEXTS = ("engine", "evaluated_on", "instruction_set", "hybridmpi_version", "error", "started_in")
# The largest value of what readers count with; all are at least 0.
_MOST = {
    "duration_s": 1e15,
    "bytes_sent": 2**63,
    "num_workers": 2**31,
    "torch_threads": 1024,
    "server_threads": 1024,
    "training_samples": 2**53,
    "resumed_at_version": 2**53,
    "shared_out_anew": 1,
}
_DEEPEST = 32  # tables within tables


class Attributes(dict[str, Any]):
    """The attributes of a run file, those left out that are not known yet.

    Asking for one that the file lacks raises UserError.
    """

    def __init__(self, path: Path, given: dict[str, Any]) -> None:
        super().__init__(given)
        self._path = path

    @classmethod
    def of(cls, path: Path, given: dict[str, Any]) -> "Attributes":
        """Take those that a file holds.

        Raises:
            ValueError: If they are not those of a run.
        """
        for name, unknown in schema.ENDINGS.items():
            value = given.get(name, unknown)
            if value == unknown or (isinstance(value, float) and math.isnan(value)):
                given.pop(name, None)
        _check(given)
        return cls(path, given)

    def __missing__(self, name: str) -> Any:
        raise UserError(
            f"'{self._path}' lacks the attribute '{name}'; it was not written by this version of "
            "hybridmpi, or is damaged"
        )

    def table(self, name: str) -> dict[str, Any]:
        """Return an attribute that is a table in JSON.

        Raises:
            UserError: If it is missing, or no such table.
        """
        try:
            return json_table(self[name], f"the attribute {name}")
        except (ValueError, RecursionError) as error:
            raise UserError(f"'{self._path}' is damaged: {error}") from error


def read_attributes(path: Path) -> Attributes:
    """Read the attributes of a run file, and nothing else of it.

    Raises:
        UserError: If it cannot be read.
    """
    values = read("attributes", path).values
    with damage_told(path):
        return Attributes.of(path, values["attributes"])


def _check(given: dict[str, Any]) -> None:
    if given["status"] not in _STATUSES:
        raise ValueError(f"its status is {given['status']!r}")
    for name, most in _MOST.items():
        value = given.get(name, 0)
        if not (isinstance(value, (int, float)) and 0 <= value <= most):
            raise ValueError(f"its attribute {name} is {value!r}")
    for name in _TEXTS:
        if not isinstance(given.get(name, ""), str):
            raise ValueError(f"its attribute {name} is {given[name]!r}")


def json_table(text: Any, name: str) -> dict[str, Any]:
    """Return the table that is written as JSON.

    Raises:
        ValueError: If it is none, or nested too deeply to be one of ours.
        RecursionError: If it is nested more deeply than that.
    """
    table = json.loads(text) if isinstance(text, str) else None
    if not isinstance(table, dict) or _is_deeper(table, _DEEPEST):
        raise ValueError(f"{name} is no table in JSON")
    return table


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)
