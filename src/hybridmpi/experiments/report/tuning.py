"""Fair tuning: the same value for all, and each method at its best."""

from collections.abc import Iterator

from hybridmpi.experiments.arms import Arm
from hybridmpi.experiments.document import Note, Section
from hybridmpi.experiments.names import arm_name, field_name, listing
from hybridmpi.experiments.pairs import outcome_named, pair_runs
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.rows import NOTHING, Rows, difference_numbers, difference_text
from hybridmpi.experiments.study import Cell, Tuning


def tuning_section(findings: Findings) -> Section | None:
    """Return the section on tuned values; None where nothing was tuned."""
    tuning = findings.study.tuning
    if tuning is None:
        return None
    metric, rows = findings.outcome, Rows()
    for (variant, cell), best in tuning.best.items():
        arm = tuned_arm(findings, tuning, variant, cell)
        shown = {
            f"best {field_name(tuning.axis)}": f"{best:g}",
            "bracketed": "yes" if is_bracketed(tuning, best) else "no",
        }
        numbers = {"tuned": tuning.axis, "best": best, "bracketed": is_bracketed(tuning, best)}
        runs = findings.runs(arm) if arm else []
        values = [outcome_named(metric.name)(run) for run in runs]
        shown[metric.label] = metric.value(sum(values) / len(values)) if values else NOTHING
        shown["minus reference"], against = _against_reference(findings, tuning, arm, cell)
        rows.add(Arm(variant, cell), shown, numbers | against)
    caption = f"Each method at its own best {field_name(tuning.axis)}."
    return Section(
        "Each method at its best",
        (*_notes(tuning), rows.table("tuned", caption), *_edges(tuning)),
    )


def tuned_arm(findings: Findings, tuning: Tuning, variant: str, cell: Cell) -> Arm | None:
    """Return a method's arm at its best value; None if no such runs are declared."""
    conditions = {**dict(cell), tuning.axis: tuning.best[variant, cell]}
    found = (a for a in findings.arms if a.variant == variant and dict(a.cell) == conditions)
    return next(found, None)


def is_bracketed(tuning: Tuning, best: float) -> bool:
    """Say whether smaller and larger values than the best were tried."""
    return tuning.values[0] < best < tuning.values[-1]


def _against_reference(
    findings: Findings, tuning: Tuning, arm: Arm | None, cell: Cell
) -> tuple[str, dict[str, float | int | None]]:
    reference = findings.study.variants[0]
    if arm is None or arm.variant == reference or (reference, cell) not in tuning.best:
        return NOTHING, {}
    other = tuned_arm(findings, tuning, reference, cell)
    if other is None:
        return NOTHING, {}
    metric = findings.outcome
    pairs = pair_runs(findings.study, findings.digests, arm, other)
    difference = pairs.compare(outcome_named(metric.name))
    text = "identical" if pairs.are_same_runs else difference_text(metric, difference)
    return text, difference_numbers(difference)


def _notes(tuning: Tuning) -> Iterator[Note]:
    tried = ", ".join(f"{value:g}" for value in tuning.values)
    yield Note(
        f"{tuning.axis} was chosen for each method among {tried} by {tuning.outcome} on a "
        f"validation split, in runs with {tuning.num_seeds} seeds of their own. The other tables "
        "compare methods at the same value; this one compares each at its best with the reference "
        "at its best, by mean difference and 95 % interval, for description."
    )


def _edges(tuning: Tuning) -> Iterator[Note]:
    edges = [
        f"{arm_name(variant, cell)} at {best:g}"
        for (variant, cell), best in tuning.best.items()
        if not is_bracketed(tuning, best)
    ]
    if edges:
        yield Note(
            f"Not bracketed, as the best value is at the edge of those tried: {listing(edges)}. "
            "A better one may lie beyond; try more values there.",
            "warning",
        )
