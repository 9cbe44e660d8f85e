"""The outcome at equal gradients, bytes and worker-seconds."""

from collections.abc import Mapping

from hybridmpi.experiments.comparisons import Comparison
from hybridmpi.experiments.document import Note, Section
from hybridmpi.experiments.equal_spend import AXES, common_end, mean_up_to
from hybridmpi.experiments.pairs import Value
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.rows import Rows, difference_numbers, difference_text
from hybridmpi.experiments.study import Cell


def equal_spend_section(findings: Findings) -> Section:
    """Return the section on costs other than time."""
    metric, rows = findings.outcome, Rows()
    for cell in findings.study.cells:
        ends = _common_ends(findings, cell)
        for each in findings.comparisons:
            if each.method.cell == cell:
                _add(rows, findings, each, ends)
    note = Note(
        "The same runs against what they spend: the mean over gradients, over bytes of parameters "
        "that the server sent, and over worker-seconds, each from 0 to what all runs under the "
        "same conditions have spent (common_end in the CSV file). Bytes are spread over a run's "
        "gradients."
    )
    caption = f"{metric.of_difference(f'Mean of {metric.label}, method minus reference')}."
    return Section("At equal cost", (note, rows.table("equal-cost", caption)))


def _common_ends(findings: Findings, cell: Cell) -> dict[str, float]:
    runs = [run for arm in findings.arms if arm.cell == cell for run in findings.runs(arm)]
    return {axis: common_end(runs, axis) for axis in AXES}


def _add(rows: Rows, findings: Findings, each: Comparison, ends: Mapping[str, float]) -> None:
    metric, shown, numbers = findings.outcome, {}, []
    for axis, end in ends.items():
        difference = each.pairs.compare(_mean(metric.name, axis, end))
        shown[f"over {AXES[axis]}"] = (
            "identical" if each.pairs.are_same_runs else difference_text(metric, difference)
        )
        numbers.append(
            {
                "reference": each.reference.variant,
                "outcome": metric.name,
                "unit": metric.metric.unit,
                "axis": axis,
                "common_end": end,
                **difference_numbers(difference),
            }
        )
    rows.add(each.method, shown, *numbers)


def _mean(metric: str, axis: str, end: float) -> Value:
    return lambda run: mean_up_to(run, metric, axis, end)
