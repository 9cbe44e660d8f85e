"""What readers call axes, cells, methods and runs."""

from collections.abc import Sequence

from hybridmpi.experiments.study import Cell, Place

_MOST = 5  # names in one sentence
ENGINES = {"simulate": "simulated", "mpi": "MPI"}


def axis_name(axis: str) -> str:
    """Return the last part of a dotted name: "batch size" for data.batch_size."""
    return axis.rpartition(".")[2].replace("_", " ")


def cell_name(cell: Cell) -> str:
    """Return the conditions in one line, empty where there is one cell only."""
    return ", ".join(f"{axis_name(axis)} {value}" for axis, value in cell)


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
