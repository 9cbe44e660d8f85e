"""Methods' bands in small multiples over the cells of a study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybridmpi.experiments.figures.bands import Band, draw_band, limits_of
from hybridmpi.experiments.figures.panels import (
    MOST_COLUMNS,
    MOST_PANELS,
    cell_titles,
    choice_note,
    choose,
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


@dataclass(frozen=True)
class BandRow:
    """One panel of each cell.

    Attributes:
        label: Of the y axis.
        bands_at: Returns the bands in a cell by method, those that there are.
        empty: What a panel says where there is none.
        ceiling: Where the y axis ends at the latest, for lines that diverge.
        from_zero: Whether the y axis begins at 0.
        has_zero_line: Whether 0 is marked.
    """

    label: str
    bands_at: Callable[[Cell], Bands]
    empty: str
    ceiling: float = float("inf")
    from_zero: bool = False
    has_zero_line: bool = False


def draw_band_panels(study: Study, rows: Sequence[BandRow], over: str = "time_s") -> Figure:
    """Draw each row's bands, for as many cells as can be read.

    Args:
        study: Where the cells and the methods come from.
        rows: What to draw for each cell, one panel above another.
        over: Quantity of the x axis.
    """
    cells = choose(study.cells, MOST_PANELS // len(rows))
    figure, panels = panel_grid(len(cells), len(rows))
    titles, all_looks = cell_titles(study.cells), looks(study.variants)
    drawn: dict[str, None] = {}
    for row_number, row in enumerate(rows):
        bands = {cell: row.bands_at(cell) for cell in cells}
        limits = _limits(study, row, bands)
        for number, cell in enumerate(cells):
            panel = panels[number][row_number]
            drawn |= dict.fromkeys(bands[cell])
            _draw_panel(panel, row, bands[cell], all_looks, limits[cell])
            mark_amounts(panel.xaxis, over)
            title = titles[cell] if row_number == 0 else ""
            title_panel(panel, title, _note(row, bands[cell], row_number, limits[cell]), len(cells))
            _label(panel, row, row_number == len(rows) - 1, number, len(cells), over)
    figure.align_ylabels()
    add_note(figure, choice_note(len(cells), len(study.cells)))
    add_key(figure, [name for name in study.variants if name in drawn], all_looks)
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
        draw_band(panel, band, all_looks[name], turn)
    if limits is not None:
        panel.set_ylim(limits)


def _label(panel: Axes, row: BandRow, is_lowest: bool, number: int, total: int, over: str) -> None:
    if number % MOST_COLUMNS == 0:
        panel.set_ylabel(row.label)
    if is_lowest and number + MOST_COLUMNS >= total:
        panel.set_xlabel(quantity(over).label)


def _note(row: BandRow, bands: Bands, row_number: int, limits: tuple[float, float] | None) -> str:
    notes = []
    if bands and row_number == 0:
        notes.append(seeds_note({name: band.num_lines for name, band in bands.items()}))
    if limits is not None:
        beyond = [name for name, band in bands.items() if _exceeds(band, row.ceiling)]
        if beyond:
            notes.append(f"above the axis: {', '.join(map(shortened, beyond))}")
    return "; ".join(notes)


def _exceeds(band: Band, ceiling: float) -> bool:
    return bool((band.mean[np.isfinite(band.mean)] > ceiling).any())


def _limits(
    study: Study, row: BandRow, bands: dict[Cell, Bands]
) -> dict[Cell, tuple[float, float] | None]:
    """Return the limits of each cell's y axis: the same for all that share a data set."""
    shared: dict[object, list[Band]] = {}
    for cell, named in bands.items():
        shared.setdefault(_scale_of(study, cell), []).extend(named.values())
    limits = {key: _row_limits(row, group) for key, group in shared.items()}
    return {cell: limits[_scale_of(study, cell)] for cell in bands}


def _scale_of(study: Study, cell: Cell) -> object:
    field = "data.dataset"
    return dict(cell)[field] if field in varying_fields(study.cells) else None


def _row_limits(row: BandRow, bands: list[Band]) -> tuple[float, float] | None:
    limits = limits_of(bands)
    if limits is None:
        return None
    low, high = limits
    if row.from_zero:
        low = 0.0
    if row.has_zero_line:
        room = 0.05 * max(abs(low), abs(high))
        low, high = min(low, -room), max(high, room)
    return low, min(high, row.ceiling)
