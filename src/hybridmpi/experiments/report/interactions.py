"""Whether a gain depends on the conditions: the gain in one cell minus the gain in another."""

from itertools import combinations

import numpy as np

from hybridmpi.experiments.arms import Arm
from hybridmpi.experiments.comparisons import Comparison
from hybridmpi.experiments.document import Note, Section
from hybridmpi.experiments.names import cell_name, value_text
from hybridmpi.experiments.paired import compare_pairs
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.rows import Rows, difference_numbers, difference_text


def interactions_section(findings: Findings) -> Section | None:
    """Return the section on axes with two values; None where there are none."""
    metric, rows = findings.outcome, Rows()
    for first, second in combinations(findings.comparisons, 2):
        axis = two_valued_axis(findings, first, second)
        if axis is None or first.pairs.are_same_runs:
            continue
        gains = gains_of(first, metric.name), gains_of(second, metric.name)
        seeds = sorted(gains[0].keys() | gains[1].keys())
        values = [np.array([gain.get(seed, np.nan) for seed in seeds]) for gain in gains]
        difference = compare_pairs(*values)
        own, other = (dict(each.method.cell)[axis] for each in (first, second))
        shared = tuple(pair for pair in first.method.cell if pair[0] != axis)
        rows.add(
            Arm(first.method.variant, shared),
            {
                "gain at": cell_name(((axis, own),)),
                "minus gain at": value_text(other),
                metric.of_difference("difference"): difference_text(metric, difference),
            },
            {
                "axis": axis,
                "value": own,
                "other_value": other,
                "outcome": metric.name,
                "unit": metric.metric.unit,
                **difference_numbers(difference),
            },
        )
    if not rows.shown:
        return None
    note = Note(
        "The gain over the reference under one condition minus that under the other, seed by seed, "
        "with a 95 % interval: for description. An interval around 0 doesn't show that a gain "
        "depends on the condition."
    )
    caption = f"Gain in {metric.label} under one condition minus the other."
    return Section("Does the gain depend on it?", (note, rows.table("interactions", caption)))


def two_valued_axis(findings: Findings, first: Comparison, second: Comparison) -> str | None:
    """Return the axis in which two comparisons of a method differ, if it has two values only."""
    if first.method.variant != second.method.variant:
        return None
    own, other = dict(first.method.cell), dict(second.method.cell)
    differing = [axis for axis in own if own[axis] != other.get(axis)]
    if len(differing) != 1:
        return None
    values = {dict(cell)[differing[0]] for cell in findings.study.cells}
    return differing[0] if len(values) == 2 else None


def gains_of(comparison: Comparison, outcome: str) -> dict[int, float]:
    """Return the method's gain over the reference by seed."""
    pairs = comparison.pairs
    return {
        seed: own.outcomes[outcome] - other.outcomes[outcome]
        for seed, own, other in zip(pairs.seeds, pairs.method, pairs.reference, strict=True)
        if own is not None and other is not None
    }
