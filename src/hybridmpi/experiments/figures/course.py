"""How runs went: threshold, staleness, gradients and steps per second over time."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from hybridmpi.experiments.arms import Arm, Digests, runs_of
from hybridmpi.experiments.figures.band_panels import BandRow, Bands, draw_band_panels
from hybridmpi.experiments.figures.bands import band_of, line_of
from hybridmpi.experiments.figures.quantities import quantity
from hybridmpi.experiments.study import Cell, Study


def draw_threshold_and_staleness(study: Study, digests: Digests) -> Figure:
    """Draw threshold and mean staleness over time, mean over the seeds with 95 % bands."""
    return _draw_course(study, digests, ["threshold", "staleness"])


def draw_rates(study: Study, digests: Digests) -> Figure:
    """Draw gradients and steps per second over time, mean over the seeds with 95 % bands."""
    return _draw_course(study, digests, ["gradients_per_s", "steps_per_s"])


def _draw_course(study: Study, digests: Digests, columns: Sequence[str]) -> Figure:
    return draw_band_panels(study, [_row(study, digests, column) for column in columns])


def _row(study: Study, digests: Digests, column: str) -> BandRow:
    def bands_at(cell: Cell) -> Bands:
        bands = {}
        for variant in study.variants:
            courses = [run.course for run in runs_of(study, digests, Arm(variant, cell))]
            band = band_of([line_of(_known(each, column), "time_s", column) for each in courses])
            if band is not None:
                bands[variant] = band
        return bands

    return BandRow(quantity(column).label, bands_at, "no steps", from_zero=True)


def _known(course: pd.DataFrame, column: str) -> pd.DataFrame:
    # Bins in which no gradient arrived have no staleness: unknown there, not diverged.
    return course[course[column].notna()]
