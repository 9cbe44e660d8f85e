"""Gains over the reference against the learning rate: a line per method, a panel per condition."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybridmpi.experiments.arms import Arm, is_flagged
from hybridmpi.experiments.figures.panels import (
    cell_titles,
    is_leftmost,
    is_lowest,
    panel_grid,
    title_panel,
    varying_fields,
)
from hybridmpi.experiments.figures.style import BLACK, PALE, Look, add_key, looks
from hybridmpi.experiments.metrics import METRICS
from hybridmpi.experiments.names import field_name
from hybridmpi.experiments.pairs import outcome_named, pair_runs
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.study import Cell

RATE = "optimizer.learning_rate"
_SHIFT = 1.03  # between methods, so that their intervals can be told apart
_LOWEST, _HIGHEST = -25.0, 25.0  # points; what diverges goes far


def draw_gains(found: Findings, axis: str = RATE) -> Figure:
    """Draw mean paired differences in test accuracy with 95 % intervals over an axis.

    Hollow markers are of arms with flagged runs, on either side; the margin is shaded.
    """
    rests = list(dict.fromkeys(_without(cell, axis) for cell in found.study.cells))
    figure, panels = panel_grid(len(rests))
    titles, all_looks = cell_titles(rests), looks(found.study.variants)
    reference, *methods = found.study.variants
    margin = found.study.question.margin if found.study.question else 0.0
    for number, (rest, (panel,)) in enumerate(zip(rests, panels, strict=True)):
        panel.axhspan(-100 * margin, 100 * margin, color=PALE, lw=0)
        panel.axhline(0, color=BLACK, lw=1)
        for turn, method in enumerate(methods):
            _draw_method(
                panel, found, method, rest, axis, all_looks[method], turn - len(methods) / 2
            )
        title_panel(panel, [titles[rest]] if len(varying_fields(rests)) else [], len(rests))
        panel.set_xscale("log")
        values = sorted({float(dict(cell)[axis]) for cell in found.study.cells})
        panel.set_xticks(values, [f"{value:g}" for value in values])
        panel.minorticks_off()
        if is_leftmost(number, len(rests)):
            panel.set_ylabel(f"test accuracy minus {reference}\n(points, mean over the run)")
        if is_lowest(number, len(rests)):
            panel.set_xlabel(field_name(axis))
    _share_limits([panel for (panel,) in panels])
    add_key(figure, methods, all_looks)
    return figure


def _draw_method(
    panel: Axes, found: Findings, method: str, rest: Cell, axis: str, look: Look, shift: float
) -> None:
    reference, metric = found.study.variants[0], METRICS["test_accuracy"]
    cells = [cell for cell in found.study.cells if _without(cell, axis) == rest]
    x, means, halves, hollow = [], [], [], []
    for cell in cells:
        arms = Arm(method, cell), Arm(reference, cell)
        pairs = pair_runs(found.study, found.digests, *arms)
        difference = pairs.compare(outcome_named("test_accuracy"))
        if difference.mean is None:
            continue
        low, high = difference.interval() or (difference.mean, difference.mean)
        x.append(float(dict(cell)[axis]) * _SHIFT**shift)
        means.append(metric.scale * difference.mean)
        halves.append(metric.scale * (high - low) / 2)
        hollow.append(any(is_flagged(found.study, found.digests, arm) for arm in arms))
    panel.errorbar(x, means, halves, lw=1.4, elinewidth=1.2, capsize=2, **look.line())
    for is_hollow in (False, True):
        chosen = [i for i, flag in enumerate(hollow) if flag is is_hollow]
        panel.plot(
            np.array(x)[chosen],
            np.array(means)[chosen],
            ls="",
            marker=look.marker,
            ms=5.5,
            color=look.color,
            mfc="white" if is_hollow else look.color,
        )


def _without(cell: Cell, axis: str) -> Cell:
    return tuple(part for part in cell if part[0] != axis)


def _share_limits(panels: Sequence[Axes]) -> None:
    lows, highs = zip(*(panel.get_ylim() for panel in panels), strict=True)
    for panel in panels:
        panel.set_ylim(max(min(lows), _LOWEST), min(max(highs), _HIGHEST))
