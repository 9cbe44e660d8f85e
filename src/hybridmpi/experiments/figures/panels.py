"""Small multiples: one panel for each cell of a study, as many as can be read."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from textwrap import fill
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybridmpi.experiments.figures.style import NORMAL, shortened, style_axes
from hybridmpi.experiments.names import cell_name
from hybridmpi.experiments.study import Cell

MOST_PANELS = 12
PANEL_IN = (3.4, 2.6)
SINGLE_IN = (7.0, 4.2)

T = TypeVar("T")


def choose(cells: Sequence[T], most: int = MOST_PANELS) -> list[T]:
    """Return evenly spaced cells, the first and the last among them, where there are too many.

    Chosen by position, never by result.
    """
    if len(cells) <= most:
        return list(cells)
    return [cells[i] for i in np.linspace(0, len(cells) - 1, most).round().astype(int)]


def choice_note(num_chosen: int, num_cells: int) -> str:
    """Say what was left out; empty where nothing was."""
    if num_chosen == num_cells:
        return ""
    return f"{num_chosen} of {num_cells} cells, evenly spaced; the tables have all of them"


def varying_fields(cells: Collection[Cell]) -> list[str]:
    """Return the fields that differ between cells, in the order of the axes."""
    values: dict[str, set[str]] = {}
    for field, value in (part for cell in cells for part in cell):
        values.setdefault(field, set()).add(repr(value))
    return [field for field, different in values.items() if len(different) > 1]


def cell_titles(cells: Sequence[Cell]) -> dict[Cell, str]:
    """Return a title for each cell: the fields that differ between the cells."""
    varying = varying_fields(cells)
    return {cell: cell_name(tuple(part for part in cell if part[0] in varying)) for cell in cells}


def num_columns(num_panels: int) -> int:
    """Return how many panels stand side by side."""
    return 2 if num_panels == 4 else min(num_panels, 3)


def is_leftmost(number: int, num_panels: int) -> bool:
    """Say whether a panel stands at the left edge of its figure."""
    return number % num_columns(num_panels) == 0


def is_lowest(number: int, num_panels: int) -> bool:
    """Say whether no other panel stands under a panel."""
    return number + num_columns(num_panels) >= num_panels


def panel_grid(num_cells: int, num_rows: int = 1) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure and the panels of each cell, `num_rows` of them one above another."""
    columns = num_columns(num_cells)
    rows = -(-num_cells // columns) * num_rows
    width, height = SINGLE_IN if num_cells == num_rows == 1 else PANEL_IN
    size = (max(width * columns, SINGLE_IN[0]), height * rows + 0.6)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    panels = [
        [
            figure.add_subplot(grid[i // columns * num_rows + row, i % columns])
            for row in range(num_rows)
        ]
        for i in range(num_cells)
    ]
    for panel in (panel for cell in panels for panel in cell):
        style_axes(panel)
    return figure, panels


def title_panel(panel: Axes, notes: Iterable[str], num_cells: int) -> None:
    """Write a cell's title and what is to be said of it over its panel, wrapped to its width."""
    width = 42 if num_cells > 1 else 90
    lines = [fill(text, width) for text in notes if text]
    # At a fixed height, since the search for a free one takes longer than all the rest.
    panel.set_title("\n".join(lines), loc="left", fontsize=NORMAL, y=1.0)


def seeds_note(num_runs: Mapping[str, int]) -> str:
    """Say how many runs are behind each method's line: n = 5 seeds (sync 4)."""
    counts = list(num_runs.values())
    most = max(counts, default=0)
    fewer = {name: count for name, count in num_runs.items() if count < most}
    if not fewer:
        return f"n = {most} seeds" if most > 1 else "n = 1 seed"
    if len(fewer) > 3:
        return f"n = {min(counts)} to {most} seeds"
    exceptions = ", ".join(f"{shortened(name)} {count}" for name, count in fewer.items())
    return f"n = {most} seeds ({exceptions})"
