"""Heat maps over two numeric axes: each method's outcome, and its difference from the reference."""

from collections.abc import Callable, Sequence
from functools import partial

import matplotlib
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure

from hybridmpi.experiments.arms import (
    Arm,
    Digests,
    is_flagged,
    is_whole,
    mean_outcome,
)
from hybridmpi.experiments.figures.cell_map import (
    CellMap,
    add_scale,
    draw_cell_map,
    finite_numbers,
    hatch_key,
    map_cells,
    map_panels,
    rest_of_cells,
    spec_for,
)
from hybridmpi.experiments.figures.panels import cell_titles, choose
from hybridmpi.experiments.figures.quantities import Quantity, outcome_quantity
from hybridmpi.experiments.figures.style import NORMAL, add_note, place_key, shortened
from hybridmpi.experiments.metrics import first_metric, metrics_in
from hybridmpi.experiments.pairs import outcome_named, pair_runs
from hybridmpi.experiments.study import Cell, Study

NumberOf = Callable[[str, Cell], float | str]


def draw_heat_maps(
    study: Study, digests: Digests, axes: tuple[str, str], outcome: str | None = None
) -> Figure:
    """Draw each method's mean outcome over two axes, a panel for each method.

    Args:
        study: The declared runs.
        digests: Those that are there, by run file.
        axes: Fields along x and y, as `map_axes` finds them.
        outcome: Name in `Digest.outcomes`; by default the runs' first metric.

    Raises:
        UserError: If the outcome is not known.
    """
    outcome = outcome or first_metric(digests)
    measured = outcome_quantity(outcome, metrics_in(digests))

    def number_of(variant: str, cell: Cell) -> float | str:
        arm = Arm(variant, cell)
        if is_flagged(study, digests, arm):
            return "flagged"
        if not is_whole(study, digests, arm):
            return "missing"
        return mean_outcome(study, digests, arm, outcome) * measured.scale

    titles, maps = _maps(study, study.variants, axes, number_of)
    numbers = finite_numbers(maps)
    norm = Normalize(numbers.min(), numbers.max()) if len(numbers) else Normalize(0, 1)
    # Cividis reads the same to colour-blind readers and in print; lighter is better.
    colors = "cividis" if measured.higher_is_better else "cividis_r"
    return _draw(study, axes, maps, titles, norm, colors, measured.label, spec_for(maps))


def draw_difference_maps(
    study: Study, digests: Digests, axes: tuple[str, str], outcome: str | None = None
) -> Figure:
    """Draw each method's mean paired difference from the reference over two axes; blue is better.

    Args:
        study: The declared runs, with the reference.
        digests: Those that are there, by run file.
        axes: Fields along x and y, as `map_axes` finds them.
        outcome: Name in `Digest.outcomes`; by default the runs' first metric.

    Raises:
        UserError: If the outcome is not known.
    """
    outcome = outcome or first_metric(digests)
    measured = outcome_quantity(outcome, metrics_in(digests))
    reference, *others = study.variants

    def number_of(variant: str, cell: Cell) -> float | str:
        arms = Arm(variant, cell), Arm(reference, cell)
        if any(is_flagged(study, digests, arm) for arm in arms):
            return "flagged"
        comparison = pair_runs(study, digests, *arms).compare(outcome_named(outcome))
        if comparison.mean is None or comparison.num_missing:
            return "missing"
        return comparison.mean * measured.scale

    titles, maps = _maps(study, others, axes, number_of)
    label = measured.difference_label(shortened(reference))
    norm, spec = centred_norm(maps), spec_for(maps, "+")
    return _draw(study, axes, maps, titles, norm, diverging_colors(measured), label, spec)


def centred_norm(maps: Sequence[CellMap]) -> CenteredNorm:
    """Return a scale with 0 in its middle that spans all numbers of maps."""
    numbers = finite_numbers(maps)
    halfrange = float(abs(numbers).max()) if len(numbers) else 0.0
    return CenteredNorm(0, halfrange or 1.0)


def diverging_colors(measured: Quantity) -> str:
    """Return colors for differences whose blue end is the better one."""
    return "RdBu" if measured.higher_is_better else "RdBu_r"


def _maps(
    study: Study, variants: Sequence[str], axes: tuple[str, str], number_of: NumberOf
) -> tuple[list[str], list[CellMap]]:
    """Return a title and a map for each method and for each rest of the cells."""
    rests = rest_of_cells(study.cells, axes)
    rest_titles = cell_titles(rests)
    titles, maps = [], []
    for rest in rests:
        for variant in variants:
            titles.append("\n".join(filter(None, (shortened(variant), rest_titles[rest]))))
            maps.append(map_cells(study.cells, axes, rest, partial(number_of, variant)))
    return titles, maps


def _draw(
    study: Study,
    axes: tuple[str, str],
    maps: Sequence[CellMap],
    titles: Sequence[str],
    norm: Normalize,
    colors: str,
    label: str,
    spec: str,
) -> Figure:
    chosen = choose(range(len(maps)))
    figure, panels = map_panels(len(chosen), study.cells, axes)
    colormap = matplotlib.colormaps[colors]
    for panel, number in zip(panels, chosen, strict=True):
        draw_cell_map(panel, maps[number], norm, colormap, spec)
        panel.set_title(titles[number], loc="left", fontsize=NORMAL, y=1.0)
    add_scale(figure, panels, norm, colormap, label)
    if len(chosen) < len(maps):
        add_note(figure, f"{len(chosen)} of {len(maps)} maps; the tables have all of them")
    if any(maps[number].gaps for number in chosen):
        place_key(figure, [hatch_key()], ["runs missing or flagged: no number"])
    return figure
