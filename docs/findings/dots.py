"""Gains over the reference, a row per condition: for conditions that are no numbers."""

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from findings.conditions import rest_text
from findings.differences import gain_of
from hybridmpi.experiments.figures.panels import cell_titles
from hybridmpi.experiments.figures.style import (
    BLACK,
    NORMAL,
    PALE,
    Look,
    add_key,
    looks,
    style_axes,
)
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.study import Cell

_ROW_IN, _BESIDE = 0.34, 0.16


def draw_dots(*axes: str) -> Callable[[Findings], Figure]:
    """Return what draws an experiment with a row per combination of these axes.

    The other axes make the panels. Dots are mean paired differences in test accuracy, with 95 %
    intervals; hollow ones are of arms with flagged runs, on either side. The margin is shaded.
    """

    def draw(found: Findings) -> Figure:
        rests = list(dict.fromkeys(_part(cell, axes, inside=False) for cell in found.study.cells))
        rows = list(dict.fromkeys(_part(cell, axes, inside=True) for cell in found.study.cells))
        height = _ROW_IN * len(rows) * -(-len(rests) // 2) + 1.2
        figure = Figure(figsize=(8.5, height), layout="constrained")
        panels = figure.subplots(-(-len(rests) // 2), 2, sharex=True, sharey=True, squeeze=False)
        reference, *methods = found.study.variants
        all_looks = looks(found.study.variants)
        for rest, panel in zip(rests, panels.flat, strict=False):
            style_axes(panel, "x")
            panel.set_title(cell_titles(rests)[rest], loc="left", fontsize=NORMAL)
            _draw_panel(panel, found, rows, rest, methods, all_looks)
            panel.set_yticks(range(len(rows)), [rest_text(row, axes) for row in rows])
            panel.set_ylim(len(rows) - 0.5, -0.5)
        for panel in panels[-1]:
            panel.set_xlabel(f"test accuracy minus {reference} (points)")
        add_key(figure, methods, all_looks)
        return figure

    return draw


def _draw_panel(
    panel: Axes,
    found: Findings,
    rows: list[Cell],
    rest: Cell,
    methods: list[str],
    all_looks: dict[str, Look],
) -> None:
    margin = 100 * found.study.question.margin if found.study.question else 0.0
    panel.axvspan(-margin, margin, color=PALE, lw=0)
    panel.axvline(0, color=BLACK, lw=1)
    for number, row in enumerate(rows):
        cell = next(c for c in found.study.cells if {*row, *rest} == {*c})
        for turn, method in enumerate(methods):
            gain = gain_of(found, method, cell)
            if gain is None:
                continue
            y, look = number + _BESIDE * (turn - (len(methods) - 1) / 2), all_looks[method]
            panel.errorbar(
                gain.mean,
                y,
                xerr=gain.half,
                marker=look.marker,
                ms=4.5,
                color=look.color,
                mfc="white" if gain.is_flagged else look.color,
                elinewidth=1.2,
            )


def _part(cell: Cell, axes: tuple[str, ...], *, inside: bool) -> Cell:
    return tuple(part for part in cell if (part[0] in axes) is inside)
