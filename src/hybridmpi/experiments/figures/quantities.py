"""Names and units of what is drawn, and how its axes are marked."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from matplotlib.axis import Axis
from matplotlib.ticker import EngFormatter, MaxNLocator

from hybridmpi.errors import UserError, nearest
from hybridmpi.experiments.metrics import ShownMetric

Metrics = Mapping[str, ShownMetric]


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


def quantity(name: str, metrics: Metrics = MappingProxyType({})) -> Quantity:
    """Return what a column of evaluations or course holds.

    Args:
        name: A metric, or something that every run has.
        metrics: What the runs are measured by.

    Raises:
        UserError: If the name is not known.
    """
    if name in metrics:
        return _of_metric(metrics[name])
    if name not in _QUANTITIES:
        raise UserError(f"there is no quantity '{name}'; {nearest(name, {*metrics, *_QUANTITIES})}")
    return _QUANTITIES[name]


def outcome_quantity(name: str, metrics: Metrics) -> Quantity:
    """Return what an outcome of a run holds: of a metric m the interval mean, m_end or m_best.

    Raises:
        UserError: If the name is not known.
    """
    if name in metrics:
        return _renamed(_of_metric(metrics[name]), "mean {}")
    for suffix, reading in _READINGS.items():
        if (metric := metrics.get(name.removesuffix(suffix))) is not None:
            return _renamed(_of_metric(metric), reading)
    return quantity(name, metrics)


def _of_metric(metric: ShownMetric) -> Quantity:
    return Quantity(
        metric.label, metric.unit, metric.difference_unit, metric.scale, metric.higher_is_better
    )


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
