"""The paper's tables: each method minus the reference, over the interval, at T, and at best."""

from hybridmpi.experiments.document import Note, Section, TableOf
from hybridmpi.experiments.names import listing
from hybridmpi.experiments.pairs import outcome_named
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.rows import Rows, difference_numbers, difference_text

_READINGS = {
    "interval-means": ("", "Interval means, as in the paper"),
    "at-the-end": ("_end", "Values at T, the end"),
    "at-best": ("_best", "Best values; for description only, as they are chosen on the test set"),
}


def differences_section(findings: Findings) -> Section:
    """Return the section with the differences of all metrics."""
    tables = (
        _table(findings, name, suffix, caption) for name, (suffix, caption) in _READINGS.items()
    )
    note = Note(
        "Mean difference and 95 % interval over pairs with the same seed, each by itself: of many "
        f"intervals some miss, and nothing is decided here. {_directions(findings)}"
    )
    return Section("The paper's tables: method minus reference", (note, *tables))


def _directions(findings: Findings) -> str:
    said = []
    for side, higher_is_better in (("above", True), ("below", False)):
        labels = [
            metric.label
            for metric in findings.metrics.values()
            if metric.higher_is_better == higher_is_better
        ]
        if labels:
            said.append(f"{side} 0 is better for {listing(labels)}")
    return f"{', '.join(said).capitalize()}."


def _table(findings: Findings, name: str, suffix: str, caption: str) -> TableOf:
    rows = Rows()
    for each in findings.comparisons:
        shown, numbers = {}, []
        for metric in findings.metrics.values():
            outcome = f"{metric.name}{suffix}"
            difference = each.pairs.compare(outcome_named(outcome))
            shown[metric.of_difference(metric.label)] = (
                "identical" if each.pairs.are_same_runs else difference_text(metric, difference)
            )
            numbers.append(
                {
                    "reference": each.reference.variant,
                    "outcome": outcome,
                    "unit": metric.metric.unit,
                    **difference_numbers(difference),
                }
            )
        rows.add(each.method, shown, *numbers)
    return rows.table(f"differences-{name}", f"{caption}.")
