"""What each method did: how good, how fast, how stale, how much sent and waited."""

import numpy as np

from hybridmpi.experiments.document import Note, Section, TableOf
from hybridmpi.experiments.names import engine_name, listing
from hybridmpi.experiments.pairs import Value, outcome_named
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.rows import NOTHING, Rows, number
from hybridmpi.experiments.study import Digest

_GIB = 2**30
# Heading, column of the CSV file, value of a run, and how it is printed.
_WORK: tuple[tuple[str, str, Value, str], ...] = (
    ("gradients/s", "gradients_per_s", lambda run: _rate(run, "gradients"), ",.1f"),
    ("steps/s", "steps_per_s", lambda run: _rate(run, "steps"), ",.1f"),
    ("pushes", "gradients", outcome_named("gradients"), ",.0f"),
    ("discarded", "discarded", outcome_named("discarded"), ",.0f"),
    ("GiB sent", "bytes_sent", outcome_named("bytes_sent"), ",.3g"),
    ("staleness", "mean_staleness", outcome_named("mean_staleness"), ".2f"),
    ("waiting", "waiting_share", outcome_named("waiting_share"), ".0%"),
    ("worker-seconds", "worker_seconds", outcome_named("worker_seconds"), ",.0f"),
)


def methods_section(findings: Findings) -> Section:
    """Return the section on each method by itself."""
    note = Note(
        "Means over complete runs. A push is one message, and so is each release that answers it; "
        "bytes are those of the parameters that the server sent. Waiting is the share of its time "
        "that a worker waits for its release."
    )
    return Section("Each method by itself", (note, _quality(findings), _work(findings)))


def _quality(findings: Findings) -> TableOf:
    rows = Rows()
    for arm in findings.arms:
        runs, shown, numbers = findings.runs(arm), {}, []
        shown["engine"] = ", ".join(sorted({engine_name(run.engine) for run in runs})) or NOTHING
        shown["runs"] = str(len(runs))
        for metric in findings.metrics.values():
            for suffix, what in (("", "mean"), ("_end", "at T")):
                outcome = f"{metric.name}{suffix}"
                values = np.array([outcome_named(outcome)(run) for run in runs])
                mean, deviation = _mean_and_deviation(values)
                shown[f"{metric.label}, {what}"] = (
                    f"{metric.value(mean)} ± {metric.value(deviation)}"
                    if np.isfinite(deviation)
                    else metric.value(mean)
                    if np.isfinite(mean)
                    else NOTHING
                )
                numbers.append(
                    {
                        "outcome": outcome,
                        "unit": metric.metric.unit,
                        "runs": len(runs),
                        "mean": mean,
                        "standard_deviation": deviation,
                    }
                )
        rows.add(arm, shown, *numbers)
    in_percent = [m.label for m in findings.metrics.values() if m.is_fraction]
    caption = "Interval means and values at T, ± the standard deviation over runs"
    caption += f"; {listing(in_percent)} in %." if in_percent else "."
    return rows.table("methods", caption)


def _mean_and_deviation(values: np.ndarray) -> tuple[float, float]:
    mean = float(values.mean()) if len(values) else np.nan
    return mean, float(values.std(ddof=1)) if len(values) > 1 else np.nan


def _work(findings: Findings) -> TableOf:
    rows = Rows()
    for arm in findings.arms:
        runs = findings.runs(arm)
        means = {
            column: float(np.mean([value(run) for run in runs])) if runs else np.nan
            for _, column, value, _ in _WORK
        }
        shown = {
            heading: number(means[column] / (_GIB if column == "bytes_sent" else 1), form)
            for heading, column, _, form in _WORK
        }
        rows.add(arm, shown, {"runs": len(runs), **means})
    return rows.table("work", "What a run did, on average.")


def _rate(run: Digest, what: str) -> float:
    return run.outcomes[what] / (run.duration_s or np.nan)
