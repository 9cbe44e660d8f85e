"""The time to each target."""

from collections.abc import Sequence

import numpy as np

from hybridmpi.experiments.document import Note, Section
from hybridmpi.experiments.metrics import ShownMetric, metric_named
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.rows import NOTHING, Rows
from hybridmpi.experiments.study import Digest
from hybridmpi.experiments.time_to_target import TimeToTarget, first_time_at, time_to_target
from hybridmpi.experiments.worlds import end_s


def targets_section(findings: Findings) -> Section | None:
    """Return the section on the declared targets; None without any."""
    question = findings.study.question
    targets = [
        (metric_named(name, findings.metrics, "a target's outcome"), target)
        for name, values in (question.targets if question else {}).items()
        for target in values
    ]
    if not targets:
        return None
    rows = Rows()
    for arm in findings.arms:
        runs, shown, numbers = findings.runs(arm), {}, []
        for metric, target in targets:
            reached = _time_to(runs, metric, target)
            shown[_heading(metric, target)] = _text(reached, len(runs))
            numbers.append(
                {
                    "outcome": metric.name,
                    "target": target,
                    "runs": len(runs),
                    "share_reached": reached and reached.share,
                    "restricted_mean_s": reached and reached.restricted_mean_s,
                }
            )
        rows.add(arm, shown, *numbers)
    note = Note(
        "Mean of min(time, T), and how many runs reach the target by T. Where not all do, the mean "
        "understates the time. Times are those of the evaluation grid."
    )
    return Section("Time to a target", (note, rows.table("targets", "Seconds to each target.")))


def _time_to(runs: Sequence[Digest], metric: ShownMetric, target: float) -> TimeToTarget | None:
    if not runs:
        return None
    times_s = [
        first_time_at(
            run.evaluations.time_s.to_numpy(),
            run.values_of(metric.name),
            target,
            metric.higher_is_better,
        )
        for run in runs
    ]
    return time_to_target(np.array(times_s), min(end_s(run) for run in runs))


def _heading(metric: ShownMetric, target: float) -> str:
    if metric.higher_is_better:
        return f"{metric.label} ≥ {target:.4g}"
    return f"{metric.label} ≤ {target:.4g}"


def _text(reached: TimeToTarget | None, num_runs: int) -> str:
    if reached is None:
        return NOTHING
    count = f"{round(reached.share * num_runs)} of {num_runs}"
    return f"{reached.restricted_mean_s:.1f} s ({count})"
