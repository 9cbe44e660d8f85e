"""A table that grows row by row, in the words of a report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from hybridmpi.experiments.arms import Arm
from hybridmpi.experiments.document import TableOf, Tone
from hybridmpi.experiments.metrics import ShownMetric
from hybridmpi.experiments.names import field_name, value_text
from hybridmpi.experiments.paired import PairedComparison

NOTHING = "–"  # noqa: RUF001 - an en dash, as tables have it where there is no number


@dataclass
class Rows:
    """Rows for readers, and those of the CSV file."""

    shown: list[dict[str, str]] = field(default_factory=list)
    numbers: list[dict[str, Any]] = field(default_factory=list)
    tones: dict[tuple[int, str], Tone] = field(default_factory=dict)

    def add(
        self,
        arm: Arm,
        shown: Mapping[str, str],
        *numbers: Mapping[str, Any],
        tones: Mapping[str, Tone] | None = None,
    ) -> None:
        """Add a row about an arm, and the rows behind it."""
        for column, tone in (tones or {}).items():
            self.tones[len(self.shown), column] = tone
        conditions = {field_name(axis): value_text(value) for axis, value in arm.cell}
        self.shown.append({**conditions, "method": arm.variant, **shown})
        self.numbers += [{**dict(arm.cell), "method": arm.variant, **row} for row in numbers]

    def table(self, name: str, caption: str) -> TableOf:
        """Return the table."""
        shown = pd.DataFrame(self.shown).fillna(NOTHING)
        return TableOf(name, caption, shown, pd.DataFrame(self.numbers), self.tones)


def number(value: float, form: str) -> str:
    """Print a number, a dash where there is none."""
    return format(value, form) if np.isfinite(value) else NOTHING


def difference_text(metric: ShownMetric, comparison: PairedComparison) -> str:
    """Print a mean difference and its 95 % interval, in the metric's printed unit."""
    if comparison.mean is None:
        return NOTHING
    mean, interval = metric.difference(comparison.mean), comparison.interval()
    if interval is None:
        return mean
    low, high = map(metric.difference, interval)
    return f"{mean} ({low} to {high})"


def difference_numbers(comparison: PairedComparison) -> dict[str, float | int | None]:
    """Return what a CSV file says of a difference, in the outcome's own unit."""
    low, high = comparison.interval() or (None, None)
    return {
        "pairs": comparison.num_pairs,
        "mean_difference": comparison.mean,
        "interval_low": low,
        "interval_high": high,
        "variance_ratio": comparison.variance_ratio,
    }
