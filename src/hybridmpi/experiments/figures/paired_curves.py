"""Each method minus the reference over time, paired by seed."""

from matplotlib.figure import Figure

from hybridmpi.experiments.arms import Arm, Digests
from hybridmpi.experiments.figures.band_panels import BandRow, Bands, draw_band_panels
from hybridmpi.experiments.figures.bands import LineOf, band_of, line_of, on_common_places
from hybridmpi.experiments.figures.curves import bounds_of
from hybridmpi.experiments.figures.quantities import quantity
from hybridmpi.experiments.figures.style import shortened
from hybridmpi.experiments.metrics import first_metric, metrics_in
from hybridmpi.experiments.pairs import pair_runs
from hybridmpi.experiments.study import Cell, Digest, Study


def draw_paired_curves(
    study: Study, digests: Digests, metric: str | None = None, over: str = "time_s"
) -> Figure:
    """Draw the mean paired difference of each method with its 95 % band, and the zero line.

    Args:
        study: The declared runs, with the reference.
        digests: Those that are there, by run file.
        metric: A metric of the runs; their first one by default.
        over: What it is drawn against: time_s, gradients, bytes_sent or worker_seconds.

    Raises:
        UserError: If metric or over is not known.
    """
    metric = metric or first_metric(digests)
    measured, (reference, *others) = quantity(metric, metrics_in(digests)), study.variants

    def bands_at(cell: Cell) -> Bands:
        bands = {}
        for variant in others:
            pairs = pair_runs(study, digests, Arm(variant, cell), Arm(reference, cell)).whole
            band = band_of([_difference(*pair, over, metric, measured.scale) for pair in pairs])
            if band is not None:
                bands[variant] = band
        return bands

    label = measured.difference_label(shortened(reference))
    _, most = bounds_of(digests, metric)
    empty = f"no pairs with {shortened(reference)}"
    row = BandRow(label, bands_at, empty, (-most, most), has_zero_line=True)
    return draw_band_panels(study, [row], over)


def _difference(run: Digest, reference: Digest, over: str, metric: str, scale: float) -> LineOf:
    lines = [line_of(digest.evaluations, over, metric, scale) for digest in (run, reference)]
    if not all(len(x) for x, _ in lines):
        return lines[0][0][:0], lines[0][1][:0]
    x, (method, base) = on_common_places(lines)
    return x, method - base
