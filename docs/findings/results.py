"""What the page says of an experiment: differences, values, verdicts and tables, as text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from findings.conditions import MACHINE, axis_text, condition_text
from findings.experiments import NAMES, hypotheses, planned, question
from findings.fairness import FAIRNESS
from findings.numbers import findings_of, tuning_of
from hybridmpi.config.experiment import label
from hybridmpi.core.metrics import CLASSIFICATION
from hybridmpi.experiments.arms import Arm, is_flagged
from hybridmpi.experiments.comparisons import Comparison
from hybridmpi.experiments.document import TableOf, Tone
from hybridmpi.experiments.metrics import ShownMetric, by_name
from hybridmpi.experiments.names import field_name, value_text
from hybridmpi.experiments.paired import PairedComparison, compare_pairs
from hybridmpi.experiments.pairs import outcome_named, pair_runs
from hybridmpi.experiments.render.markdown import markdown_table
from hybridmpi.experiments.report.claim import claim_section
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.interactions import gains_of
from hybridmpi.experiments.report.rows import NOTHING, difference_text
from hybridmpi.experiments.report.verdicts import p_text, verdict_section
from hybridmpi.experiments.study import Cell

METRICS = by_name(CLASSIFICATION)
ACCURACY = "test_accuracy"
FLAG = "†"  # beside the number of an arm with flagged runs
Where = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """The experiments that have been run, by their CSV files in a folder."""

    folder: Path

    def is_done(self, name: str) -> bool:
        """Say whether an experiment has been run."""
        return (self.folder / f"{name}.csv").exists()

    def states(self) -> str:
        """Return the table of all experiments."""
        rows = [
            {
                "experiment": f"[{name}](../jobs/paper/{name}.toml)",
                "question": question(name),
                "runs": str(len(planned(name).runs)),
                "seeds": str(len(planned(name).experiment.seeds)),
                "state": "run" if self.is_done(name) else "not run yet",
            }
            for name in NAMES
        ]
        head = list(rows[0])
        lines = [head, ["---"] * len(head), *(list(row.values()) for row in rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def difference(
        self, name: str, method: str, reference: str = "async", outcome: str = ACCURACY, **at: Any
    ) -> PairedComparison:
        """Return a method's outcome minus a reference's, paired by seed."""
        found = self._findings(name)
        arms = [Arm(variant, _cell(found, variant, at)) for variant in (method, reference)]
        pairs = pair_runs(found.study, found.digests, *arms)
        return pairs.compare(outcome_named(outcome))

    def gain(
        self, name: str, method: str, reference: str = "async", outcome: str = ACCURACY, **at: Any
    ) -> str:
        """Return a difference in words: +1.23 points (0.95 to 1.51)."""
        metric = _metric(outcome)
        difference = self.difference(name, method, reference, outcome, **at)
        return _in_words(metric, difference)

    def interaction(
        self, name: str, method: str, axis: str, first: object, second: object, **at: Any
    ) -> str:
        """Return the gain under one condition minus the gain under another, in words."""
        found = self._findings(name)
        gains = []
        for value in (first, second):
            arm = Arm(method, _cell(found, method, {**at, axis: value}))
            comparison = next(each for each in found.comparisons if each.method == arm)
            gains.append(gains_of(comparison, ACCURACY))
        seeds = sorted(gains[0].keys() | gains[1].keys())
        values = [np.array([gain.get(seed, np.nan) for seed in seeds]) for gain in gains]
        difference = compare_pairs(*values)
        return f"{_in_words(METRICS[ACCURACY], difference)}, p {p_text(difference.p_value)}"

    def value(self, name: str, method: str, outcome: str = ACCURACY, **at: Any) -> str:
        """Return the mean of an outcome over an arm's runs."""
        found = self._findings(name)
        mean = _mean(found, Arm(method, _cell(found, method, at)), outcome)
        return _value_text(outcome, mean)

    def late_gain(self, name: str, method: str, last: float = 0.2, **at: Any) -> str:
        """Return by how much test accuracy grew in the last part of an arm's runs, on average."""
        found = self._findings(name)
        gains = []
        for run in found.runs(Arm(method, _cell(found, method, at))):
            of_time = run.evaluations.set_index("time_s")[ACCURACY]
            gains.append(of_time.iloc[-1] - of_time.loc[(1 - last) * of_time.index[-1]])
        return f"{METRICS[ACCURACY].difference(fmean(gains))} points"

    def extent(self, name: str) -> str:
        """Return what an experiment covers: its seeds, and the values of its axes."""
        experiment = planned(name).experiment
        axes = [
            f"{axis_text(axis)} {', '.join(condition_text(axis, label(v)) for v in values)}"
            for axis, values in experiment.axes.items()
            if len(values) > 1 and axis != MACHINE
        ]
        return "; ".join([f"{len(experiment.seeds)} seeds", *axes])

    def values(self, name: str, axis: str) -> list[object]:
        """Return the values of an axis, given by the last part of its name."""
        axes = planned(name).experiment.axes
        return next([*v] for field, v in axes.items() if field.rpartition(".")[2] == axis)

    def setting(self, field: str, name: str = "significance") -> str:
        """Return a field of the job that an experiment's runs share, by its dotted name."""
        value: Any = planned(name).runs[0].job
        for part in field.split("."):
            value = getattr(value, part)
        return value_text(value)

    def hypotheses(self, name: str) -> str:
        """Return the hypotheses of an experiment."""
        return hypotheses(name)

    def verdicts(self, name: str) -> str:
        """Return the table of verdicts, as the experiment's own report has it."""
        parts = verdict_section(self._findings(name)).parts
        return "\n".join(markdown_table(part) for part in parts if isinstance(part, TableOf))

    def verdict(self, name: str, method: str, **at: Any) -> str:
        """Return one verdict: better, worse, equivalent, undecided, or "no verdict"."""
        found = self._findings(name)
        arm = Arm(method, _cell(found, method, at))
        comparison = next(each for each in found.comparisons if each.method == arm)
        decision = comparison.verdict.decision if comparison.verdict else None
        return decision or "no verdict"

    def matrix(
        self, name: str, across: str = "learning_rate", outcome: str = ACCURACY, **at: Any
    ) -> str:
        """Return a table of differences: a row per method and condition, a column per value.

        The reference's own rows hold its values.
        """
        found = self._findings(name)
        field = _field(found, across)
        chosen = [each for each in found.arms if _matches(each.cell, at)]
        varying = _varying(chosen, field)
        values = list(dict.fromkeys(dict(arm.cell)[field] for arm in chosen))
        rows = []
        for (rest, variant), arms in _grouped(chosen, varying):
            cells = {dict(arm.cell)[field]: _entry(found, arm, outcome) for arm in arms}
            head = {axis_text(axis): condition_text(axis, value) for axis, value in rest}
            columns = {f"{field_name(field)} {value_text(v)}": cells[v] for v in values}
            rows.append({**head, "method": variant, **columns})
        return markdown_table(TableOf("matrix", "", pd.DataFrame(rows), pd.DataFrame()))

    def means(self, name: str, outcomes: Mapping[str, str], **at: Any) -> str:
        """Return a table of means over runs: a row per arm, a column per outcome by its heading."""
        found = self._findings(name)
        chosen = [each for each in found.arms if _matches(each.cell, at)]
        varying = _varying(chosen, "")
        rows = [
            {
                **{axis_text(n): condition_text(n, v) for n, v in arm.cell if n in varying},
                "method": arm.variant,
                **{head: _value_text(of, _mean(found, arm, of)) for head, of in outcomes.items()},
            }
            for arm in chosen
        ]
        return markdown_table(TableOf("means", "", pd.DataFrame(rows), pd.DataFrame()))

    def claim(self, name: str) -> str:
        """Return what an experiment says of the paper's claim, reading by reading."""
        section = claim_section(self._findings(name))
        assert section is not None
        return "\n".join(markdown_table(p) for p in section.parts if isinstance(p, TableOf))

    def tuned(self, name: str, methods: Iterable[str] = ()) -> str:
        """Return the table of validation means at each value that was tried, the best marked."""
        runs, axis = tuning_of(name, self.folder), planned(name).experiment.tune
        assert axis is not None
        rows: list[dict[str, str]] = []
        best: dict[tuple[int, str], Tone] = {}
        for method in methods or planned(name).experiment.variants:
            scores = _scores(runs, method, axis)
            columns = {value: f"{field_name(axis)} {value:g}" for value in scores}
            best[len(rows), columns[max(scores, key=lambda v: _finite(scores[v]))]] = "good"
            shown = {
                columns[value]: _value_text(ACCURACY, score) for value, score in scores.items()
            }
            rows.append({"method": method, **shown})
        return markdown_table(TableOf("tuned", "", pd.DataFrame(rows), pd.DataFrame(), best))

    def _findings(self, name: str) -> Findings:
        found = findings_of(name, self.folder)
        if found is None:
            raise ValueError(f"{name} has not been run; ask `done` before its numbers")
        return found


def _cell(found: Findings, variant: str, at: Where) -> Cell:
    """Return the only cell of a variant with these values, given by the last part of a field."""
    cells = [a.cell for a in found.arms if a.variant == variant and _matches(a.cell, at)]
    if len(cells) != 1:
        raise ValueError(f"{variant} at {dict(at)}: {len(cells)} cells; name one")
    return cells[0]


def _matches(cell: Cell, at: Where) -> bool:
    values = {field.rpartition(".")[2]: value for field, value in cell}
    return all(values[name] == value for name, value in at.items())


def _field(found: Findings, name: str) -> str:
    return next(f for f, _ in found.study.cells[0] if f.rpartition(".")[2] == name)


def _varying(arms: list[Arm], field: str) -> list[str]:
    names = [name for name, _ in arms[0].cell if name != field]
    return [name for name in names if len({dict(arm.cell)[name] for arm in arms}) > 1]


def _grouped(arms: list[Arm], varying: list[str]) -> list[tuple[tuple[Cell, str], list[Arm]]]:
    def key(arm: Arm) -> tuple[Cell, str]:
        return tuple((n, v) for n, v in arm.cell if n in varying), arm.variant

    order = list(dict.fromkeys(map(key, arms)))
    ordered = sorted(arms, key=lambda arm: order.index(key(arm)))
    return [(which, list(own)) for which, own in groupby(ordered, key)]


def _entry(found: Findings, arm: Arm, outcome: str) -> str:
    flag = FLAG if is_flagged(found.study, found.digests, arm) else ""
    comparison = next((each for each in found.comparisons if each.method == arm), None)
    if comparison is None:
        return _value_text(outcome, _mean(found, arm, outcome)) + flag
    return _difference_entry(comparison, outcome) + flag


def _difference_entry(comparison: Comparison, outcome: str) -> str:
    if comparison.pairs.are_same_runs:
        return "same"
    metric, difference = _metric(outcome), comparison.pairs.compare(outcome_named(outcome))
    if difference.mean is None:
        return NOTHING
    interval = difference.interval()
    if interval is None:
        return metric.difference(difference.mean)
    half = metric.value((interval[1] - interval[0]) / 2)
    return f"{metric.difference(difference.mean)} ± {half}"


def _mean(found: Findings, arm: Arm, outcome: str) -> float:
    values = [run.outcomes[outcome] for run in found.runs(arm)]
    return fmean(values) if values else float("nan")


def _metric(outcome: str) -> ShownMetric:
    return METRICS[outcome.removesuffix("_end")]


def _value_text(outcome: str, mean: float) -> str:
    if not np.isfinite(mean):
        return NOTHING
    if outcome in FAIRNESS:
        return f"{100 * mean:.1f} %"
    if outcome.removesuffix("_end") not in METRICS:
        return f"{mean:,.0f}" if mean >= 100 else f"{mean:.3g}"
    metric = _metric(outcome)
    return f"{metric.value(mean)} %" if metric.is_fraction else metric.value(mean)


def _in_words(metric: ShownMetric, difference: PairedComparison) -> str:
    mean, _, interval = difference_text(metric, difference).partition(" ")
    return f"{mean} {metric.difference_unit} {interval}".strip()


def _scores(rows: list[dict[str, str]], method: str, axis: str) -> dict[float, float]:
    """Return the mean over the seeds by value; NaN where a run failed."""
    by_value: dict[float, list[float]] = {}
    for row in rows:
        if row["method"] == method:
            by_value.setdefault(float(row[axis]), []).append(float(row[ACCURACY] or "nan"))
    return {value: fmean(scores) for value, scores in sorted(by_value.items())}


def _finite(score: float) -> float:
    return score if np.isfinite(score) else -np.inf
