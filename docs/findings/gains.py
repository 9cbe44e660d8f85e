"""Gains over the reference against the learning rate: a line per method, a panel per condition."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from findings.differences import gain_of
from hybridmpi.experiments.figures.panels import (
    cell_titles,
    is_leftmost,
    is_lowest,
    panel_grid,
    title_panel,
)
from hybridmpi.experiments.figures.style import BLACK, PALE, Look, add_key, looks
from hybridmpi.experiments.names import field_name
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.study import Cell

RATE = "optimizer.learning_rate"
_SHIFT = 1.03  # between methods, so that their intervals can be told apart
_LOWEST, _HIGHEST = -25.0, 25.0  # points; what diverges goes far


def draw_gains(groups: Mapping[str, Sequence[str]] | None = None) -> Callable[[Findings], Figure]:
    """Return what draws mean paired differences in test accuracy with 95 % intervals.

    Hollow markers are of arms with flagged runs, on either side; the margin is shaded.

    Args:
        groups: Titles of panels, and the methods in each, where one panel for all is too full.
    """

    def draw(found: Findings) -> Figure:
        rests = list(dict.fromkeys(_without_rate(cell) for cell in found.study.cells))
        reference, *methods = found.study.variants
        titles = cell_titles(rests)
        shown = [
            (rest, title or titles[rest], names)
            for rest in rests
            for title, names in (groups or {"": methods}).items()
        ]
        figure, panels = panel_grid(len(shown))
        all_looks = looks(found.study.variants)
        for number, ((rest, title, names), (panel,)) in enumerate(zip(shown, panels, strict=True)):
            _draw_panel(panel, found, rest, names, all_looks)
            title_panel(panel, [title], len(shown))
            if is_leftmost(number, len(shown)):
                panel.set_ylabel(f"test accuracy minus {reference}\n(points, mean over the run)")
            if is_lowest(number, len(shown)):
                panel.set_xlabel(field_name(RATE))
        _share_limits([panel for (panel,) in panels])
        add_key(figure, methods, all_looks)
        return figure

    return draw


def _draw_panel(
    panel: Axes, found: Findings, rest: Cell, methods: Sequence[str], all_looks: dict[str, Look]
) -> None:
    margin = 100 * found.study.question.margin if found.study.question else 0.0
    panel.axhspan(-margin, margin, color=PALE, lw=0)
    panel.axhline(0, color=BLACK, lw=1)
    cells = [cell for cell in found.study.cells if _without_rate(cell) == rest]
    for turn, method in enumerate(methods):
        shift = _SHIFT ** (turn - (len(methods) - 1) / 2)
        _draw_method(panel, found, method, cells, all_looks[method], shift)
    values = sorted({float(dict(cell)[RATE]) for cell in cells})
    panel.set_xscale("log")
    panel.set_xticks(values, [f"{value:g}" for value in values])
    panel.minorticks_off()


def _draw_method(
    panel: Axes, found: Findings, method: str, cells: list[Cell], look: Look, shift: float
) -> None:
    found_gains = [(float(dict(cell)[RATE]), gain_of(found, method, cell)) for cell in cells]
    gains = [(shift * x, gain) for x, gain in found_gains if gain is not None]
    panel.plot([x for x, _ in gains], [gain.mean for _, gain in gains], lw=1.4, **look.line())
    for x, gain in gains:
        panel.errorbar(
            x,
            gain.mean,
            gain.half,
            elinewidth=1.2,
            marker=look.marker,
            ms=5.5,
            color=look.color,
            mfc="white" if gain.is_flagged else look.color,
        )


def _without_rate(cell: Cell) -> Cell:
    return tuple(part for part in cell if part[0] != RATE)


def _share_limits(panels: Sequence[Axes]) -> None:
    lows, highs = zip(*(panel.get_ylim() for panel in panels), strict=True)
    for panel in panels:
        panel.set_ylim(max(min(lows), _LOWEST), min(max(highs), _HIGHEST))
