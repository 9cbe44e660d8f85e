"""What readers call axes, cells, methods and runs."""

from collections.abc import Sequence

from hybridmpi.experiments.study import Cell, Place

_MOST = 5  # names in one sentence
# Sections of a job whose fields need no section before them to be understood.
_PLAIN_SECTIONS = {"data", "model", "optimizer", "method", "run"}
ENGINES = {"simulate": "simulated", "mpi": "MPI"}


def field_name(field: str) -> str:
    """Return what readers call a field of a job: learning rate, delays max (s)."""
    name, unit = _name_and_unit(field)
    return f"{name} ({unit})" if unit else name


def value_text(value: object) -> str:
    """Return a value of an axis as readers see it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def cell_name(cell: Cell) -> str:
    """Return the conditions in one line: batch size 32, delays max 0.5 s; empty without axes."""
    parts = ((*_name_and_unit(field), value_text(value)) for field, value in cell)
    return ", ".join(f"{name} {value} {unit}".rstrip() for name, unit, value in parts)


def arm_name(variant: str, cell: Cell) -> str:
    """Return the name of a method under its conditions."""
    return f"{variant} ({cell_name(cell)})" if cell else variant


def place_name(place: Place) -> str:
    """Return the name of a declared run."""
    return f"{arm_name(place.variant, place.cell)} seed {place.seed}"


def engine_name(engine: str) -> str:
    """Return what readers call an engine."""
    return ENGINES.get(engine, engine)


def counted(count: int, noun: str) -> str:
    """Return a number of things: "1 run", "2 runs"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listing(names: Sequence[object], most: int = _MOST) -> str:
    """Join the first names, and say how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def _name_and_unit(field: str) -> tuple[str, str]:
    section, _, last = field.rpartition(".")
    full = last if section in {*_PLAIN_SECTIONS, ""} else field
    unit = "s" if full.endswith("_s") else ""
    return full.removesuffix("_s").replace("_", " ").replace(".", " "), unit
