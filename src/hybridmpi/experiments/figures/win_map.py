"""The win map: where a method beats the better of its rivals, and by how much."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hybridmpi.errors import UserError, nearest
from hybridmpi.experiments.arms import Arm, Digests, is_flagged, is_whole, mean_outcome
from hybridmpi.experiments.figures.cell_map import (
    CellMap,
    add_scale,
    draw_cell_map,
    hatch_key,
    map_cells,
    map_panels,
    rest_of_cells,
    spec_for,
)
from hybridmpi.experiments.figures.heat_maps import centred_norm, diverging_colors
from hybridmpi.experiments.figures.panels import MOST_PANELS, cell_titles, choice_note, choose
from hybridmpi.experiments.figures.quantities import outcome_quantity
from hybridmpi.experiments.figures.style import BLACK, NORMAL, add_note, place_key, shortened
from hybridmpi.experiments.metrics import first_metric, metrics_in
from hybridmpi.experiments.study import Cell, Study


def draw_win_map(
    study: Study,
    digests: Digests,
    axes: tuple[str, str],
    outcome: str | None = None,
    method: str = "hybrid",
    rivals: Sequence[str] = ("async", "sync"),
) -> Figure:
    """Draw a method's mean outcome minus that of its better rival over two axes; blue is a win.

    The better rival of a cell is picked by the same runs, which favours the rivals a little. The
    line of no difference is drawn between cells that have numbers. A cell is hatched if a run of
    the method or of a rival is missing or flagged; the methods that are to blame stand in it.

    Args:
        study: The declared runs.
        digests: Those that are there, by run file.
        axes: Fields along x and y, as `map_axes` finds them.
        outcome: Name in `Digest.outcomes`; by default the runs' first metric.
        method: The variant that is to win.
        rivals: The variants whose better one it is compared with.

    Raises:
        UserError: If the outcome or one of the variants is not known.
    """
    for variant in (method, *rivals):
        if variant not in study.variants:
            hint = nearest(variant, study.variants)
            raise UserError(f"the win map asks for the variant '{variant}'; {hint}")
    outcome = outcome or first_metric(digests)
    measured = outcome_quantity(outcome, metrics_in(digests))
    sign = 1 if measured.higher_is_better else -1

    def number_of(cell: Cell) -> float | str:
        means = {
            name: float(_mean(study, digests, name, cell, outcome)) for name in (method, *rivals)
        }
        unreliable = [name for name, mean in means.items() if not np.isfinite(mean)]
        if unreliable:
            return "\n".join(map(shortened, unreliable))
        best = max((means[name] for name in rivals), key=lambda mean: sign * mean)
        return (means[method] - best) * measured.scale

    rests = rest_of_cells(study.cells, axes)
    chosen = choose(rests, MOST_PANELS)
    maps = [map_cells(study.cells, axes, rest, number_of) for rest in chosen]
    figure, panels = map_panels(len(maps), study.cells, axes)
    norm, colormap = centred_norm(maps), matplotlib.colormaps[diverging_colors(measured)]
    for panel, shown, rest in zip(panels, maps, chosen, strict=True):
        draw_cell_map(panel, shown, norm, colormap, spec_for(maps, "+"))
        draw_zero_line(panel, shown)
        panel.set_title(cell_titles(rests)[rest], loc="left", fontsize=NORMAL, y=1.0)
    better = f"the better of {' and '.join(map(shortened, rivals))}"
    add_scale(figure, panels, norm, colormap, measured.difference_label(better))
    add_note(figure, choice_note(len(chosen), len(rests)))
    _add_key(figure, maps)
    return figure


def draw_zero_line(panel: Axes, shown: CellMap) -> None:
    """Draw the contour of 0 between the centres of neighbouring cells that have numbers."""
    numbers = np.ma.masked_invalid(shown.numbers)
    if _has_zero_line(shown):
        rows, columns = (np.arange(size) for size in numbers.shape)
        panel.contour(columns, rows, numbers, levels=[0.0], colors=[BLACK], linewidths=2)


def _has_zero_line(shown: CellMap) -> bool:
    finite = shown.numbers[np.isfinite(shown.numbers)]
    is_grid = min(shown.numbers.shape) > 1
    return is_grid and len(finite) > 0 and bool(finite.min() < 0 < finite.max())


def _mean(study: Study, digests: Digests, variant: str, cell: Cell, outcome: str) -> float:
    """Return a method's mean outcome in a cell; NaN if a run is missing or flagged."""
    arm = Arm(variant, cell)
    if not is_whole(study, digests, arm) or is_flagged(study, digests, arm):
        return float("nan")
    return mean_outcome(study, digests, arm, outcome)


def _add_key(figure: Figure, maps: Sequence[CellMap]) -> None:
    handles, labels = [], []
    if any(map(_has_zero_line, maps)):
        handles.append(Line2D([], [], color=BLACK, lw=2))
        labels.append("no difference")
    if any(shown.gaps for shown in maps):
        handles.append(hatch_key())  # type: ignore[arg-type]
        labels.append("runs of the named methods are missing or flagged")
    place_key(figure, handles, labels)
