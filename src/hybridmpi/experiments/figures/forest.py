"""Forest plot: each method's mean difference from the reference, with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hybridmpi.experiments.arms import Arm, Digests, arms_of, is_flagged
from hybridmpi.experiments.figures.panels import cell_titles, choice_note, choose
from hybridmpi.experiments.figures.quantities import Quantity, outcome_quantity
from hybridmpi.experiments.figures.style import (
    BLACK,
    GREY,
    MINUS,
    PALE,
    SMALL,
    Look,
    add_note,
    looks,
    place_key,
    say_empty,
    shortened,
    style_axes,
)
from hybridmpi.experiments.metrics import first_metric, metrics_in
from hybridmpi.experiments.paired import PairedComparison
from hybridmpi.experiments.pairs import outcome_named, pair_runs
from hybridmpi.experiments.study import Cell, Study

MOST_ROWS = 60
ROW_IN = 0.24


@dataclass(frozen=True)
class _Row:
    """One method in one cell."""

    variant: str
    comparison: PairedComparison
    is_flagged: bool


def draw_forest(study: Study, digests: Digests, outcome: str | None = None) -> Figure:
    """Draw mean paired differences with 95 % t intervals: a row per method, a block per cell.

    The margin is shaded where the outcome is the one that the question is about. Intervals that
    leave the axis end in an arrow head. Comparisons with flagged runs are grey: no win is claimed
    over those.

    Args:
        study: The declared runs, with the reference.
        digests: Those that are there, by run file.
        outcome: Name in `Digest.outcomes`; the deciding one by default.

    Raises:
        UserError: If the outcome is not known.
    """
    asked = None if study.question is None else study.question.outcome
    outcome = outcome or asked or first_metric(digests)
    measured = outcome_quantity(outcome, metrics_in(digests))
    reference, *others = study.variants
    cells = choose(study.cells, max(1, MOST_ROWS // (len(others) + 1)))
    blocks = {cell: _rows(study, digests, cell, outcome) for cell in cells}
    figure = Figure(figsize=(8, 1.4 + ROW_IN * _height(blocks)), dpi=150, layout="constrained")
    panel = figure.subplots()
    style_axes(panel, "x")
    panel.set_xlabel(measured.difference_label(shortened(reference)))
    margin = study.question.margin if study.question and outcome == asked else None
    _draw(panel, blocks, cell_titles(study.cells), measured, margin, looks(study.variants))
    add_note(figure, choice_note(len(cells), len(study.cells)))
    _add_key(figure, margin, measured)
    return figure


def _rows(study: Study, digests: Digests, cell: Cell, outcome: str) -> list[_Row]:
    reference = Arm(study.variants[0], cell)
    rows = []
    for arm in arms_of(study):
        if arm.cell == cell and arm != reference:
            pairs = pair_runs(study, digests, arm, reference)
            flagged = any(is_flagged(study, digests, each) for each in (arm, reference))
            rows.append(_Row(arm.variant, pairs.compare(outcome_named(outcome)), flagged))
    return rows


def _height(blocks: dict[Cell, list[_Row]]) -> int:
    return sum(len(rows) + (len(blocks) > 1) for rows in blocks.values())


def _draw(
    panel: Axes,
    blocks: dict[Cell, list[_Row]],
    titles: dict[Cell, str],
    measured: Quantity,
    margin: float | None,
    all_looks: dict[str, Look],
) -> None:
    if not any(blocks.values()):
        say_empty(panel, "no method to compare with the reference")
        return
    low, high = _limits([row for rows in blocks.values() for row in rows], margin)
    panel.set_xlim(low * measured.scale, high * measured.scale)
    if margin is not None:
        panel.axvspan(-margin * measured.scale, margin * measured.scale, color=PALE, lw=0)
    panel.axvline(0, color=BLACK, lw=1)
    labels: dict[int, str] = {}
    heads, y = set(), 0
    for cell, rows in blocks.items():
        if len(blocks) > 1:
            heads.add(y)
            labels[y] = titles[cell]
            y += 1
        for row in rows:
            labels[y] = shortened(row.variant)
            _draw_row(panel, y, row, measured.scale, all_looks[row.variant])
            y += 1
    panel.set_yticks(list(labels), list(labels.values()))
    for tick, row_y in zip(panel.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("bold" if row_y in heads else "normal")
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(y - 0.5, -0.5)


def _draw_row(panel: Axes, y: int, row: _Row, scale: float, look: Look) -> None:
    comparison, color = row.comparison, GREY if row.is_flagged else look.color
    panel.text(
        *(1.02, y, _in_words(row, scale)),
        transform=panel.get_yaxis_transform(),
        va="center",
        fontsize=SMALL,
        color=GREY if row.is_flagged else BLACK,
    )
    if comparison.mean is None:
        return
    mean, interval = comparison.mean * scale, comparison.interval()
    if interval is not None:
        _draw_interval(panel, y, interval[0] * scale, interval[1] * scale, color)
    is_hollow = row.is_flagged or interval is None
    panel.plot(mean, y, marker=look.marker, ms=6, color=color, mfc="white" if is_hollow else color)


def _draw_interval(panel: Axes, y: int, low: float, high: float, color: str) -> None:
    left, right = panel.get_xlim()
    panel.plot([max(low, left), min(high, right)], [y, y], color=color, lw=1.8)
    for is_beyond, edge, marker in ((low < left, left, "<"), (high > right, right, ">")):
        if is_beyond:
            panel.plot(edge, y, marker=marker, ms=5, color=color, clip_on=False)


def _in_words(row: _Row, scale: float) -> str:
    comparison = row.comparison
    if comparison.mean is None:
        return "no pairs"
    interval = comparison.interval() or ()
    numbers = [number * scale for number in (comparison.mean, *interval)]
    places = 2 if max(map(abs, numbers)) >= 1 else 3
    mean, *ends = (f"{number:+.{places}f}".replace("-", MINUS) for number in numbers)
    total = comparison.num_pairs + comparison.num_missing
    of_total = f" of {total}" if comparison.num_missing else ""
    words = f"{mean} [{', '.join(ends)}]" if ends else mean
    words += f"  n = {comparison.num_pairs}{of_total}"
    if comparison.is_identical:
        words += ", identical"
    return words + (", flagged" if row.is_flagged else "")


def _limits(rows: Sequence[_Row], margin: float | None) -> tuple[float, float]:
    """Return where the axis begins and ends.

    It holds 0, the margin and all means, and intervals up to four times as far.
    """
    known = [row.comparison for row in rows]
    means = [each.mean for each in known if each.mean is not None]
    means += [0.0, -(margin or 0.0), margin or 0.0]
    ends = [end for each in known for end in each.interval() or ()]
    farthest = 4 * max(map(abs, means)) or 1.0
    low = min([*means, max(min(ends, default=0.0), -farthest)])
    high = max([*means, min(max(ends, default=0.0), farthest)])
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def _add_key(figure: Figure, margin: float | None, measured: Quantity) -> None:
    handles = [
        Line2D([], [], color=GREY, marker="o", lw=1.8),
        Line2D([], [], color=GREY, marker="o", mfc="white", ls=""),
    ]
    labels = ["mean and 95 % interval", "one pair, or flagged runs"]
    if margin is not None:
        handles.append(Patch(color=PALE))  # type: ignore[arg-type]
        unit = f" {measured.difference_unit}" if measured.difference_unit else ""
        labels.append(f"margin of {np.round(margin * measured.scale, 6):g}{unit}")
    place_key(figure, handles, labels)
