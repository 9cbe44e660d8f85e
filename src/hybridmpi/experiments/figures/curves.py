"""A metric against what was spent: time, gradients, bytes or worker-seconds."""

import numpy as np
from matplotlib.figure import Figure

from hybridmpi.experiments.arms import Arm, Digests, runs_of
from hybridmpi.experiments.figures.band_panels import BandRow, Bands, draw_band_panels
from hybridmpi.experiments.figures.bands import band_of, line_of
from hybridmpi.experiments.figures.quantities import quantity
from hybridmpi.experiments.metrics import first_metric, metrics_in
from hybridmpi.experiments.study import Cell, Study

# A loss this many times as high as at the start has diverged; how far does not matter.
DIVERGED = 1.5


def draw_curves(
    study: Study, digests: Digests, metric: str | None = None, over: str = "time_s"
) -> Figure:
    """Draw each method's mean over the seeds with 95 % bands, one panel for each cell.

    Args:
        study: The declared runs.
        digests: Those that are there, by run file.
        metric: A metric of the runs; their first one by default.
        over: What it is drawn against, a column too: time_s, gradients, bytes_sent or
            worker_seconds.

    Raises:
        UserError: If metric or over is not known.
    """
    metric = metric or first_metric(digests)
    measured = quantity(metric, metrics_in(digests))

    def bands_at(cell: Cell) -> Bands:
        bands = {}
        for variant in study.variants:
            runs = runs_of(study, digests, Arm(variant, cell))
            band = band_of([line_of(run.evaluations, over, metric, measured.scale) for run in runs])
            if band is not None:
                bands[variant] = band
        return bands

    row = BandRow(measured.label, bands_at, "no evaluations", bounds_of(digests, metric))
    return draw_band_panels(study, [row], over)


def bounds_of(digests: Digests, metric: str) -> tuple[float, float]:
    """Return the lowest and the highest value of a metric that is worth showing, as drawn."""
    measured = metrics_in(digests)[metric]
    if measured.is_fraction:
        return 0, measured.scale
    values = [run.evaluations[metric] for run in digests.values() if metric in run.evaluations]
    starts = [float(each.iloc[0]) for each in values if len(each) and np.isfinite(each.iloc[0])]
    if measured.higher_is_better or any((each < 0).any() for each in values):
        return -np.inf, np.inf
    return 0, DIVERGED * float(np.median(starts)) if starts else np.inf
