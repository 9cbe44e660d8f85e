"""What readers call the conditions of an experiment, machines among them."""

import re
from itertools import groupby

from hybridmpi.experiments.names import field_name, value_text
from hybridmpi.experiments.study import Cell

MACHINE = "simulate"
_FIELD = re.compile(r"(\w+)=([^=]*?)(?=, \w+=|$)")


def condition_text(axis: str, value: object) -> str:
    """Return a value of an axis as readers see it: latency 0.2 s, not latency_s=0.2."""
    return machine_text(str(value)) if axis == MACHINE else value_text(value).rpartition(":")[2]


def axis_text(axis: str) -> str:
    """Return what readers call an axis."""
    return "machine" if axis == MACHINE else field_name(axis)


def machine_text(label: str) -> str:
    """Return what a machine's table says, field by field; equal values in a row are counted."""
    fields = _FIELD.findall(label.replace("=distribution=", "="))
    return ", ".join(f"{_name(field)} {_values(given)}{_unit(field)}" for field, given in fields)


def rest_text(cell: Cell, axes: tuple[str, ...]) -> str:
    """Return the values of some axes of a cell, in one line."""
    chosen = [(axis, value) for axis, value in cell if axis in axes]
    if len(chosen) == 1 and chosen[0][0] == MACHINE:
        return condition_text(*chosen[0])
    return ", ".join(f"{_name(a.rpartition('.')[2])} {condition_text(a, v)}" for a, v in chosen)


def _name(field: str) -> str:
    return re.sub(r"_(s|bytes_per_s)$", "", field).replace("_", " ")


def _unit(field: str) -> str:
    return " B/s" if field.endswith("_bytes_per_s") else " s" if field.endswith("_s") else ""


def _values(given: str) -> str:
    values = map(_number, given.split(", "))
    runs = [(value, len(list(same))) for value, same in groupby(values)]
    return ", ".join(f"{count} x {v}" if count > 2 else ", ".join([v] * count) for v, count in runs)


def _number(text: str) -> str:
    return f"{float(text):,g}" if re.fullmatch(r"[\d.]+", text) else text
