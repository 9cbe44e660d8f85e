"""A metric against what was spent: time, gradients, bytes or worker-seconds."""

import numpy as np
from matplotlib.figure import Figure

from hybridmpi.experiments.arms import Arm, Digests, runs_of
from hybridmpi.experiments.figures.band_panels import BandRow, Bands, draw_band_panels
from hybridmpi.experiments.figures.bands import band_of, line_of
from hybridmpi.experiments.figures.quantities import quantity
from hybridmpi.experiments.study import Cell, Digest, Study

# A loss this many times as high as at the start has diverged; how far does not matter.
DIVERGED = 1.5


def draw_curves(
    study: Study, digests: Digests, metric: str = "test_accuracy", over: str = "time_s"
) -> Figure:
    """Draw each method's mean over the seeds with 95 % bands, one panel for each cell.

    Args:
        study: The declared runs.
        digests: Those that are there, by run file.
        metric: Column of `evaluations`: test_accuracy, test_loss or train_loss.
        over: What it is drawn against, a column too: time_s, gradients, bytes_sent or
            worker_seconds.

    Raises:
        UserError: If metric or over is not known.
    """
    measured = quantity(metric)

    def bands_at(cell: Cell) -> Bands:
        bands = {}
        for variant in study.variants:
            runs = runs_of(study, digests, Arm(variant, cell))
            band = band_of([line_of(run.evaluations, over, metric, measured.scale) for run in runs])
            if band is not None:
                bands[variant] = band
        return bands

    row = BandRow(measured.label, bands_at, "no evaluations", (0, highest(digests, metric)))
    return draw_band_panels(study, [row], over)


def highest(digests: Digests, metric: str) -> float:
    """Return the highest value of a metric that is worth showing, as drawn."""
    if quantity(metric).higher_is_better:
        return quantity(metric).scale
    starts = [_start(digest, metric) for digest in digests.values() if len(digest.evaluations)]
    starts = [start for start in starts if np.isfinite(start)]
    return DIVERGED * float(np.median(starts)) if starts else float("inf")


def _start(digest: Digest, metric: str) -> float:
    return float(digest.evaluations[metric].iloc[0])
