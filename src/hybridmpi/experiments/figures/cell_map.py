"""Cells of a study laid out over two of its axes, with a number in each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from hybridmpi.experiments.figures.panels import num_columns, varying_fields
from hybridmpi.experiments.figures.style import BLACK, GREY, MINUS, PALE, SMALL, style_axes
from hybridmpi.experiments.names import field_name, value_text
from hybridmpi.experiments.study import Cell, Study

HATCH = "////"
CELL_IN = (0.75, 0.5)
DARK = 0.5
SCALE_LABEL_WIDTH = 34


@dataclass(frozen=True)
class CellMap:
    """A number for each cell of one panel, or why it has none.

    Attributes:
        x_values: Values of the axis along x, ascending.
        y_values: Values of the axis along y, ascending.
        numbers: One number per cell, shape [len(y_values), len(x_values)]; NaN where there is none.
        gaps: Why a declared cell has no number, by (row, column); cells that were not declared
            are in neither.
    """

    x_values: tuple[float, ...]
    y_values: tuple[float, ...]
    numbers: NDArray[np.float64]
    gaps: Mapping[tuple[int, int], str]


def map_axes(study: Study) -> tuple[str, str] | None:
    """Return the two fields that a map of a study is best drawn over; None if there are not two.

    A learning rate comes first and lies along x, a delay second and along y; others follow in the
    order of the axes.
    """
    varying = varying_fields(study.cells)
    numeric = [field for field in varying if all(map(_is_number, _values(study.cells, field)))]
    if len(numeric) < 2:
        return None
    wanted = sorted(numeric, key=lambda field: "learning_rate" not in field)
    along_x = wanted.pop(0)
    along_y = min(wanted, key=lambda field: "delay" not in field)
    return along_x, along_y


def rest_of_cells(cells: Sequence[Cell], axes: tuple[str, str]) -> list[Cell]:
    """Return what cells hold besides two axes, each once: one map is drawn for each."""
    return list(dict.fromkeys(_rest(cell, axes) for cell in cells))


def map_cells(
    cells: Sequence[Cell],
    axes: tuple[str, str],
    rest: Cell,
    number_of: Callable[[Cell], float | str],
) -> CellMap:
    """Lay out the cells with the given rest.

    Args:
        cells: All cells of the study; their values span the axes.
        axes: The fields along x and y.
        rest: The values of the other axes.
        number_of: Returns a cell's number, or why it has none.
    """
    x_values, y_values = (tuple(sorted(set(_values(cells, axis)))) for axis in axes)
    numbers = np.full((len(y_values), len(x_values)), np.nan)
    gaps = {}
    for cell in cells:
        if _rest(cell, axes) != rest:
            continue
        x, y = (dict(cell)[axis] for axis in axes)
        place = y_values.index(y), x_values.index(x)
        number = number_of(cell)
        if isinstance(number, str):
            gaps[place] = number
        else:
            numbers[place] = number
    return CellMap(x_values, y_values, numbers, gaps)


def map_panels(
    num_maps: int, cells: Sequence[Cell], axes: tuple[str, str]
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels, large enough for a number in each of the maps' cells."""
    columns = num_columns(num_maps)
    rows = -(-num_maps // columns)
    width, height = (
        max(len(set(_values(cells, axis))) * size, least)
        for axis, size, least in zip(axes, CELL_IN, (2.6, 1.8), strict=True)
    )
    size = ((width + 0.7) * columns + 1.0, (height + 0.7) * rows + 0.8)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    panels = [figure.add_subplot(rows, columns, i + 1) for i in range(num_maps)]
    for number, panel in enumerate(panels):
        style_axes(panel)
        panel.grid(visible=False)
        if number % columns == 0:
            panel.set_ylabel(field_name(axes[1]))
        if number + columns >= num_maps:
            panel.set_xlabel(field_name(axes[0]))
    return figure, panels


def draw_cell_map(
    panel: Axes, shown: CellMap, norm: Normalize, colormap: Colormap, spec: str
) -> None:
    """Color and label the cells of a map; cells without a number are hatched, with the reason.

    Args:
        panel: Where to draw.
        shown: What to draw.
        norm: Where a number lies in the colormap.
        colormap: The colors.
        spec: How numbers are written, for example "+.1f".
    """
    numbers = np.ma.masked_invalid(shown.numbers)
    rows, columns = numbers.shape
    panel.pcolormesh(
        np.arange(columns + 1) - 0.5,
        np.arange(rows + 1) - 0.5,
        numbers,
        norm=norm,
        cmap=colormap,
        edgecolors="white",
        linewidth=0.8,
    )
    for (row, column), number in np.ndenumerate(shown.numbers):
        if np.isfinite(number):
            text = f"{number:{spec}}".replace("-", MINUS)
            _write_on(panel, row, column, text, colormap(norm(number)))
    for (row, column), reason in shown.gaps.items():
        panel.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **_hatched()))
        _write_on(panel, row, column, reason, to_rgba(PALE))
    panel.set_xticks(range(columns), [value_text(value) for value in shown.x_values])
    panel.set_yticks(range(rows), [value_text(value) for value in shown.y_values])
    panel.set_xlim(-0.5, columns - 0.5)
    panel.set_ylim(-0.5, rows - 0.5)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)


def add_scale(
    figure: Figure, panels: Sequence[Axes], norm: Normalize, colormap: Colormap, label: str
) -> None:
    """Draw the scale of colors beside the panels."""
    bar = figure.colorbar(ScalarMappable(norm, colormap), ax=list(panels), pad=0.02, aspect=25)
    bar.set_label(fill(label, SCALE_LABEL_WIDTH), fontsize=SMALL + 1)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)


def hatch_key() -> Patch:
    """Return the key's sign for cells without a number."""
    return Patch(**_hatched())


def spec_for(maps: Sequence[CellMap], sign: str = "") -> str:
    """Return how to write the numbers of maps: three significant places of the largest."""
    finite = [np.abs(each.numbers[np.isfinite(each.numbers)]) for each in maps]
    largest = max((float(values.max()) for values in finite if len(values)), default=0.0)
    places = 1 if largest >= 10 else 2 if largest >= 1 else 3
    return f"{sign}.{places}f"


def finite_numbers(maps: Sequence[CellMap]) -> NDArray[np.float64]:
    """Return all numbers of maps, shape [n]."""
    numbers = np.concatenate([np.empty(0), *(each.numbers.ravel() for each in maps)])
    return np.asarray(numbers[np.isfinite(numbers)], dtype=np.float64)


def _hatched() -> dict[str, Any]:
    return {"facecolor": PALE, "edgecolor": GREY, "hatch": HATCH, "linewidth": 0}


def _write_on(
    panel: Axes, row: int, column: int, text: str, ground: tuple[float, float, float, float]
) -> None:
    red, green, blue, _ = ground
    is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < DARK
    # The halo keeps lines and hatches from running through the text.
    halo = withStroke(linewidth=3, foreground=ground)
    color = "white" if is_dark else BLACK
    style: dict[str, Any] = {"color": color, "fontsize": 7.5, "path_effects": [halo]}
    panel.text(column, row, text, ha="center", va="center", **style)


def _rest(cell: Cell, axes: tuple[str, str]) -> Cell:
    return tuple(part for part in cell if part[0] not in axes)


def _values(cells: Sequence[Cell], field: str) -> list[Any]:
    return [dict(cell)[field] for cell in cells]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
