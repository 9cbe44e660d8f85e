"""How stale the gradients of each method were."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hybridmpi.experiments.arms import Arm, Digests, runs_of
from hybridmpi.experiments.figures.panels import (
    cell_titles,
    choice_note,
    choose,
    is_leftmost,
    is_lowest,
    panel_grid,
    seeds_note,
    title_panel,
)
from hybridmpi.experiments.figures.style import (
    SMALL,
    Look,
    add_key,
    add_note,
    looks,
    say_empty,
)
from hybridmpi.experiments.study import Cell, Study

MOST_BINS = 40
LOWEST_PERCENT = 0.01


def draw_staleness_histogram(study: Study, digests: Digests) -> Figure:
    """Draw the percentage of gradients by staleness, all seeds together, a panel for each cell.

    The percentage is on a logarithmic axis: the few very stale gradients are those that matter.
    """
    cells = choose(study.cells)
    figure, panels = panel_grid(len(cells))
    titles, all_looks = cell_titles(study.cells), looks(study.variants)
    drawn: dict[str, None] = {}
    for number, (cell, (panel,)) in enumerate(zip(cells, panels, strict=True)):
        counts = _counts(study, digests, cell)
        drawn |= dict.fromkeys(counts)
        runs = {name: len(runs_of(study, digests, Arm(name, cell))) for name in counts}
        note = seeds_note(runs) if counts else ""
        title_panel(panel, [titles[cell], note], len(cells))
        _draw_panel(panel, counts, all_looks)
        if is_leftmost(number, len(cells)):
            panel.set_ylabel("gradients (%)")
        if is_lowest(number, len(cells)):
            panel.set_xlabel("staleness (versions)")
    add_note(figure, choice_note(len(cells), len(study.cells)))
    add_key(figure, [name for name in study.variants if name in drawn], all_looks)
    return figure


def _draw_panel(
    panel: Axes, counts: dict[str, NDArray[np.int64]], all_looks: dict[str, Look]
) -> None:
    if not counts:
        say_empty(panel, "no gradients")
        return
    width = -(-max(map(len, counts.values())) // MOST_BINS)
    for name, of_staleness in counts.items():
        _draw_histogram(panel, of_staleness, width, all_looks[name])
    panel.set_yscale("log")
    panel.set_ylim(LOWEST_PERCENT, 150)
    panel.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
    panel.minorticks_off()
    panel.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if width > 1:
        panel.text(
            *(0.99, 0.99, f"bins of {width} versions"),
            transform=panel.transAxes,
            ha="right",
            va="top",
            fontsize=SMALL,
        )


def _draw_histogram(panel: Axes, counts: NDArray[np.int64], width: int, look: Look) -> None:
    padded = np.pad(counts, (0, -len(counts) % width))
    percent = 100 * padded.reshape(-1, width).sum(axis=1) / counts.sum()
    starts = np.arange(len(percent)) * width
    panel.stairs(percent, np.append(starts, starts[-1] + width) - 0.5, **look.line(), lw=1.3)
    is_drawn = percent > 0
    panel.plot(
        *(starts[is_drawn] + (width - 1) / 2, percent[is_drawn]),
        color=look.color,
        marker=look.marker,
        ms=3.5,
        ls="",
    )


def _counts(study: Study, digests: Digests, cell: Cell) -> dict[str, NDArray[np.int64]]:
    """Return how many gradients had staleness 0, 1, 2, ..., by method, over all seeds."""
    summed = {}
    for variant in study.variants:
        runs = runs_of(study, digests, Arm(variant, cell))
        total = np.zeros(max((len(run.staleness_counts) for run in runs), default=0), np.int64)
        for run in runs:
            total[: len(run.staleness_counts)] += run.staleness_counts
        if total.any():
            summed[variant] = total
    return summed
