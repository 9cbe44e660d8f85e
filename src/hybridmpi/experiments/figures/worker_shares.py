"""How the gradients were shared out over the workers."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hybridmpi.experiments.arms import Arm, Digests, runs_of
from hybridmpi.experiments.figures.panels import (
    cell_titles,
    choice_note,
    choose,
    is_leftmost,
    is_lowest,
    num_columns,
    panel_grid,
    seeds_note,
    title_panel,
)
from hybridmpi.experiments.figures.style import (
    BLACK,
    GREY,
    GRID,
    Look,
    add_note,
    looks,
    place_key,
    say_empty,
    shortened,
)
from hybridmpi.experiments.study import Cell, Study

ROW_IN = 0.3


def draw_worker_shares(study: Study, digests: Digests) -> Figure:
    """Draw each worker's percentage of its run's gradients, a row of points for each method.

    One point for each worker of each run, hollow for a delayed one: which workers are delayed
    differs from seed to seed, so that a mean over the seeds would hide it.
    """
    cells = choose(study.cells)
    figure, panels = panel_grid(len(cells))
    titles, all_looks = cell_titles(study.cells), looks(study.variants)
    num_rows = -(-len(cells) // num_columns(len(cells)))
    figure.set_figheight((1.3 + ROW_IN * len(study.variants)) * num_rows + 0.6)
    for number, (cell, (panel,)) in enumerate(zip(cells, panels, strict=True)):
        shares = _shares(study, digests, cell)
        runs = {name: len(runs_of(study, digests, Arm(name, cell))) for name in shares}
        note = seeds_note(runs) if shares else ""
        title_panel(panel, [titles[cell], note], len(cells))
        _draw_panel(panel, study.variants, shares, all_looks)
        if not is_leftmost(number, len(cells)):
            panel.tick_params(axis="y", labelleft=False)
        if is_lowest(number, len(cells)):
            panel.set_xlabel("gradients of a worker (%)")
    add_note(figure, choice_note(len(cells), len(study.cells)))
    _add_key(figure)
    return figure


def _draw_panel(
    panel: Axes, variants: list[str], shares: dict[str, pd.DataFrame], all_looks: dict[str, Look]
) -> None:
    panel.grid(visible=False, axis="y")
    panel.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
    if not shares:
        say_empty(panel, "no gradients")
        return
    equal = {100 / num for each in shares.values() for num in each.num_workers.unique()}
    for percent in sorted(equal):
        panel.axvline(percent, color=BLACK, lw=1, ls=(0, (4, 3)))
    for row, name in enumerate(variants):
        if name in shares:
            _draw_points(panel, row, shares[name], all_looks[name])
    panel.set_yticks(range(len(variants)), [shortened(name) for name in variants])
    panel.set_ylim(len(variants) - 0.5, -0.5)
    panel.set_xlim(left=0)


def _draw_points(panel: Axes, row: int, shares: pd.DataFrame, look: Look) -> None:
    for is_delayed, offset in ((False, -0.2), (True, 0.2)):
        percent = shares.percent[shares.delayed == is_delayed].to_numpy()
        panel.scatter(
            percent,
            row + offset + _spread(len(percent)),
            s=14,
            marker=look.marker,
            facecolors="none" if is_delayed else look.color,
            edgecolors=look.color,
            linewidths=0.7,
            alpha=0.8,
            clip_on=False,
        )


def _spread(num_points: int) -> NDArray[np.float64]:
    """Return small offsets that keep equal points apart, the same every time."""
    golden = 0.6180339887
    turns = np.arange(num_points, dtype=np.float64) * golden
    return 0.24 * (turns % 1 - 0.5)


def _add_key(figure: Figure) -> None:
    point = {"marker": "o", "ls": "", "color": GREY, "ms": 5}
    handles = [
        Line2D([], [], **point),  # type: ignore[arg-type]
        Line2D([], [], **point, mfc="none"),  # type: ignore[arg-type]
        Line2D([], [], color=BLACK, lw=1, ls=(0, (4, 3))),
    ]
    place_key(figure, handles, ["a worker", "a delayed worker", "equal shares"])


def _shares(study: Study, digests: Digests, cell: Cell) -> dict[str, pd.DataFrame]:
    """Return percent, delayed and num_workers of each worker of each run, by method."""
    shares = {}
    for variant in study.variants:
        tables = [run.workers for run in runs_of(study, digests, Arm(variant, cell))]
        parts = [_percent(table) for table in tables if table.gradients.sum() > 0]
        if parts:
            shares[variant] = pd.concat(parts, ignore_index=True)
    return shares


def _percent(workers: pd.DataFrame) -> pd.DataFrame:
    percent = 100 * workers.gradients / workers.gradients.sum()
    return pd.DataFrame(
        {"percent": percent, "delayed": workers.delayed, "num_workers": len(workers)}
    )
