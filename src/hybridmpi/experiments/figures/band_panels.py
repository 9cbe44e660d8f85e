"""Methods' bands in small multiples over the cells of a study."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybridmpi.experiments.figures.bands import Band, draw_band, limits_of
from hybridmpi.experiments.figures.panels import (
    MOST_PANELS,
    cell_titles,
    choice_note,
    choose,
    is_leftmost,
    is_lowest,
    panel_grid,
    seeds_note,
    title_panel,
    varying_fields,
)
from hybridmpi.experiments.figures.quantities import mark_amounts, quantity
from hybridmpi.experiments.figures.style import (
    BLACK,
    Look,
    add_key,
    add_note,
    looks,
    say_empty,
    shortened,
)
from hybridmpi.experiments.study import Cell, Study

Bands = dict[str, Band]
LABEL_WIDTH = 30
# Bands of up to FEW methods have the opacity OPACITY / FEW; those of more would become a blur.
OPACITY, FEW = 0.9, 5


@dataclass(frozen=True, eq=False)
class BandRow:
    """One panel of each cell.

    Attributes:
        label: Of the y axis.
        bands_at: Returns the bands in a cell by method, those that there are.
        empty: What a panel says where there is none.
        bounds: What the y axis shows at most, so that lines that diverge leave the rest readable.
        from_zero: Whether the y axis begins at 0.
        has_zero_line: Whether 0 is marked.
    """

    label: str
    bands_at: Callable[[Cell], Bands]
    empty: str
    bounds: tuple[float, float] = (-np.inf, np.inf)
    from_zero: bool = False
    has_zero_line: bool = False


def draw_band_panels(study: Study, rows: Sequence[BandRow], over: str = "time_s") -> Figure:
    """Draw each row's bands, for as many cells as can be read.

    Args:
        study: Where the cells and the methods come from.
        rows: What to draw for each cell, one panel above another.
        over: Quantity of the x axis, which all panels share.
    """
    cells = choose(study.cells, MOST_PANELS // len(rows))
    figure, panels = panel_grid(len(cells), len(rows))
    titles, all_looks = cell_titles(study.cells), looks(study.variants)
    bands = {(row, cell): row.bands_at(cell) for row in rows for cell in cells}
    for row_number, row in enumerate(rows):
        limits = _limits(study, row, {cell: bands[row, cell] for cell in cells})
        for number, cell in enumerate(cells):
            panel, named = panels[number][row_number], bands[row, cell]
            _draw_panel(panel, row, named, all_looks, limits[cell])
            head = [titles[cell], _count_note(named)] if row_number == 0 else []
            title_panel(panel, [*head, _beyond_note(row, named)], len(cells))
            if is_leftmost(number, len(cells)):
                panel.set_ylabel(fill(row.label, LABEL_WIDTH))
            elif len(set(limits.values())) == 1:
                panel.tick_params(labelleft=False)
            if is_lowest(number, len(cells)) and row is rows[-1]:
                panel.set_xlabel(quantity(over).label)
            else:
                panel.tick_params(labelbottom=False)
    drawn = {name: band for named in bands.values() for name, band in named.items()}
    _mark_x([panel for column in panels for panel in column], bands.values(), over)
    add_note(figure, choice_note(len(cells), len(study.cells)))
    has_bands = any(band.low is not None for band in drawn.values())
    add_key(figure, [name for name in study.variants if name in drawn], all_looks, has_bands)
    return figure


def _draw_panel(
    panel: Axes,
    row: BandRow,
    bands: Bands,
    all_looks: dict[str, Look],
    limits: tuple[float, float] | None,
) -> None:
    if not bands:
        say_empty(panel, row.empty)
        return
    if row.has_zero_line:
        panel.axhline(0, color=BLACK, lw=1)
    for turn, (name, band) in enumerate(bands.items()):
        draw_band(panel, band, all_looks[name], turn, alpha=OPACITY / max(len(bands), FEW))
    if limits is not None:
        panel.set_ylim(limits)


def _mark_x(panels: Iterable[Axes], all_bands: Iterable[Bands], over: str) -> None:
    ends = [x for bands in all_bands for band in bands.values() for x in (band.x[0], band.x[-1])]
    if not ends:
        return
    room = 0.03 * (max(ends) - min(ends)) or 1.0
    for panel in panels:
        if panel.has_data():
            panel.set_xlim(min(ends) - room, max(ends) + room)
            mark_amounts(panel.xaxis, over)


def _count_note(bands: Bands) -> str:
    return seeds_note({name: band.num_lines for name, band in bands.items()}) if bands else ""


def _beyond_note(row: BandRow, bands: Bands) -> str:
    beyond = [shortened(name) for name, band in bands.items() if _exceeds(band, row.bounds)]
    return f"beyond the axis: {', '.join(beyond)}" if beyond else ""


def _exceeds(band: Band, bounds: tuple[float, float]) -> bool:
    return bool(((band.mean < bounds[0]) | (band.mean > bounds[1])).any())


def _limits(
    study: Study, row: BandRow, bands: dict[Cell, Bands]
) -> dict[Cell, tuple[float, float] | None]:
    """Return the limits of each cell's y axis: the same for all that share data and problem."""
    shared: dict[object, list[Band]] = {}
    for cell, named in bands.items():
        shared.setdefault(_scale_of(study, cell), []).extend(named.values())
    limits = {key: _row_limits(row, group) for key, group in shared.items()}
    return {cell: limits[_scale_of(study, cell)] for cell in bands}


def _scale_of(study: Study, cell: Cell) -> object:
    varying = varying_fields(study.cells)
    return tuple(dict(cell).get(f) for f in ("data.dataset", "problem.name") if f in varying)


def _row_limits(row: BandRow, bands: list[Band]) -> tuple[float, float] | None:
    limits = limits_of(bands, row.bounds)
    if limits is None:
        return None
    low, high = limits
    if row.from_zero:
        low = -0.03 * high
    if row.has_zero_line:
        room = 0.05 * max(abs(low), abs(high))
        low, high = min(low, -room), max(high, room)
    return low, high
