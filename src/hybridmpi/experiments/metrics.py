"""How readers see what runs are measured by: labels, units, and digits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybridmpi.core.metrics import CLASSIFICATION, FRACTION, NATS, Metric
from hybridmpi.errors import UserError, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from hybridmpi.experiments.study import Digest


@dataclass(frozen=True)
class ShownMetric:
    """A metric as it is printed and drawn.

    Attributes:
        metric: What it is.
        unit: Of what is printed and drawn; empty for a pure number.
        difference_unit: Of a printed or drawn difference.
        scale: Printed numbers are the recorded ones times this.
        decimals: Of printed numbers; None for as many as four significant digits take.
    """

    metric: Metric
    unit: str
    difference_unit: str
    scale: float = 1
    decimals: int | None = None

    @property
    def name(self) -> str:
        """Its name in files."""
        return self.metric.name

    @property
    def higher_is_better(self) -> bool:
        """Whether more of it is better."""
        return self.metric.higher_is_better

    @property
    def is_loss(self) -> bool:
        """Whether it can be drawn beside the losses of mini-batches."""
        return self.name.endswith("loss")

    @property
    def is_fraction(self) -> bool:
        """Whether it lies between 0 and 1, and is shown in percent."""
        return self.metric.unit == FRACTION

    @property
    def label(self) -> str:
        """Its name for readers."""
        return self.name.replace("_", " ")

    def label_on(self, evaluated_on: str) -> str:
        """Return the label where what a name calls the test set was another one."""
        start, _, rest = self.label.partition(" ")
        return f"{evaluated_on} {rest}" if start == "test" else self.label

    def text(self, number: float) -> str:
        """Print a value that stands alone, a fraction with its sign of percent."""
        return f"{self.value(number)}%" if self.is_fraction else self.value(number)

    def value(self, number: float) -> str:
        """Print a value."""
        if self.decimals is None:
            return f"{number * self.scale:.4g}"
        return f"{number * self.scale:.{self.decimals}f}"

    def difference(self, number: float) -> str:
        """Print a difference, with its sign; what rounds to 0 has the sign +."""
        if self.decimals is None:
            return f"{number * self.scale or 0.0:+.3g}"
        rounded = round(number * self.scale, self.decimals) or 0.0
        return f"{rounded:+.{self.decimals}f}"

    def of_difference(self, text: str) -> str:
        """Put the unit of a difference behind a heading."""
        return f"{text} ({self.difference_unit})" if self.difference_unit else text


def shown(metric: Metric) -> ShownMetric:
    """Return a metric as it is printed and drawn."""
    if metric.unit == FRACTION:
        return ShownMetric(metric, "%", "points", 100, 2)
    return ShownMetric(
        metric, metric.unit, metric.unit, decimals=4 if metric.unit == NATS else None
    )


def by_name(metrics: Iterable[Metric]) -> dict[str, ShownMetric]:
    """Return metrics by name, of those with one name the first."""
    named: dict[str, ShownMetric] = {}
    for metric in metrics:
        named.setdefault(metric.name, shown(metric))
    return named


def metrics_in(digests: "Mapping[Path, Digest]") -> dict[str, ShownMetric]:
    """Return what runs are measured by; of no runs, what image classification is."""
    return by_name(metric for run in digests.values() for metric in run.metrics) or by_name(
        CLASSIFICATION
    )


def first_metric(digests: "Mapping[Path, Digest]") -> str:
    """Return the name of the metric that runs are judged by where nothing else is asked."""
    return next(iter(metrics_in(digests)))


def metric_named(
    name: str | None, metrics: Mapping[str, ShownMetric], what: str = "the outcome"
) -> ShownMetric:
    """Return a metric by its name, or the first one where none is named.

    Raises:
        UserError: If there is none of this name.
    """
    if name is None:
        return next(iter(metrics.values()))
    if name not in metrics:
        raise UserError(f"{what} is '{name}', but must be a metric; {nearest(name, metrics)}")
    return metrics[name]
