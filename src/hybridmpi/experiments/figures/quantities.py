"""Names and units of what is drawn, and how its axes are marked."""

from dataclasses import dataclass

from matplotlib.axis import Axis
from matplotlib.ticker import EngFormatter, MaxNLocator

from hybridmpi.errors import UserError, nearest
from hybridmpi.experiments.study import Cell


@dataclass(frozen=True)
class Quantity:
    """Something that is measured.

    Attributes:
        name: What readers call it.
        unit: Its unit as drawn; empty for a number without one.
        difference_unit: The unit of a difference of two.
        scale: As drawn over as recorded: 100 for a fraction that is drawn in percent.
        higher_is_better: Whether more of it is better.
    """

    name: str
    unit: str = ""
    difference_unit: str = ""
    scale: float = 1.0
    higher_is_better: bool = False

    @property
    def label(self) -> str:
        """The label of an axis: name and unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def difference_label(self, reference: str) -> str:
        """Return the label of an axis that shows values minus the reference's."""
        unit = f" ({self.difference_unit})" if self.difference_unit else ""
        return f"{self.name} minus {reference}{unit}"


_QUANTITIES = {
    "test_accuracy": Quantity("test accuracy", "%", "points", 100, higher_is_better=True),
    "test_loss": Quantity("test loss"),
    "train_loss": Quantity("train loss"),
    "time_s": Quantity("training time", "s", "s"),
    "gradients": Quantity("gradients"),
    "steps": Quantity("steps"),
    "bytes_sent": Quantity("bytes sent"),
    "worker_seconds": Quantity("worker-seconds"),
    "discarded": Quantity("discarded gradients"),
    "mean_staleness": Quantity("mean staleness", "versions", "versions"),
    "staleness": Quantity("mean staleness", "versions", "versions"),
    "threshold": Quantity("threshold", "gradients", "gradients"),
    "gradients_per_s": Quantity("gradients per second"),
    "steps_per_s": Quantity("steps per second"),
    "waiting_share": Quantity("waiting share", "%", "points", 100),
}
_READINGS = {"_end": "{} at the end", "_best": "best {}"}
_METRICS = ("test_accuracy", "test_loss", "train_loss")
# Sections of a job whose fields need no section before them to be understood.
_PLAIN_SECTIONS = {"data", "model", "optimizer", "method", "run"}


def quantity(name: str) -> Quantity:
    """Return what a column of evaluations or course holds.

    Raises:
        UserError: If the name is not known.
    """
    if name not in _QUANTITIES:
        raise UserError(f"there is no quantity '{name}'; {nearest(name, _QUANTITIES)}")
    return _QUANTITIES[name]


def outcome_quantity(name: str) -> Quantity:
    """Return what an outcome of a run holds: of a metric m the interval mean, m_end or m_best.

    Raises:
        UserError: If the name is not known.
    """
    if name in _METRICS:
        return _renamed(quantity(name), "mean {}")
    for suffix, reading in _READINGS.items():
        if name.removesuffix(suffix) in _METRICS:
            return _renamed(quantity(name.removesuffix(suffix)), reading)
    return quantity(name)


def _renamed(base: Quantity, reading: str) -> Quantity:
    name = reading.format(base.name)
    return Quantity(name, base.unit, base.difference_unit, base.scale, base.higher_is_better)


def mark_amounts(axis: Axis, name: str, num_ticks: int = 5) -> None:
    """Mark an axis of amounts: 200k gradients, 1.5 GB."""
    axis.set_major_locator(MaxNLocator(nbins=num_ticks, steps=[1, 2, 2.5, 5, 10]))
    if name == "bytes_sent":
        axis.set_major_formatter(EngFormatter(unit="B"))
    elif name in {"gradients", "worker_seconds"}:
        axis.set_major_formatter(EngFormatter(sep=""))


def field_name(field: str) -> str:
    """Return what readers call a field of a job: learning rate, delays max (s)."""
    name, unit = _name_and_unit(field)
    return f"{name} ({unit})" if unit else name


def value_text(value: object) -> str:
    """Return a value of an axis as readers see it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def cell_name(cell: Cell) -> str:
    """Return what readers call a cell: batch size 32, delays max 0.5 s."""
    parts = ((*_name_and_unit(field), value_text(value)) for field, value in cell)
    return ", ".join(f"{name} {value} {unit}".rstrip() for name, unit, value in parts)


def _name_and_unit(field: str) -> tuple[str, str]:
    section, _, last = field.rpartition(".")
    full = last if section in {*_PLAIN_SECTIONS, ""} else field
    unit = "s" if full.endswith("_s") else ""
    return full.removesuffix("_s").replace("_", " ").replace(".", " "), unit
