"""Each method's own best value of a field, from the runs that tune."""

import math
from collections import defaultdict
from pathlib import Path

from hybridmpi.experiments.plan import Plan
from hybridmpi.experiments.plan_file import without
from hybridmpi.experiments.study import Cell
from hybridmpi.runlog.reader import read_run


def best_values(plan: Plan, folder: Path) -> dict[tuple[str, Cell], float]:
    """Return the best value for each variant and cell without the axis that is tuned.

    The best is the one whose runs have the best mean of the deciding outcome's interval mean; of
    equal ones the first that is declared. A value at which a run failed, or has an outcome that is
    not finite, is none; where that is so at all values, nothing is best.
    """
    axis, outcome = plan.experiment.tune, plan.outcome
    sign = 1.0 if outcome.higher_is_better else -1.0
    scores: defaultdict[tuple[str, Cell], defaultdict[float, list[float]]]
    scores = defaultdict(lambda: defaultdict(list))
    for run in plan.runs:
        if run.is_tuning:
            score = sign * _interval_mean(folder / run.file, outcome.name)
            for place in run.places:
                value = dict(place.cell)[axis or ""]
                scores[place.variant, without(place.cell, axis or "")][value].append(score)
    return {key: best for key, by_value in scores.items() if (best := _best(by_value)) is not None}


def _interval_mean(path: Path, outcome: str) -> float:
    run = read_run(path)
    return run.interval_mean(outcome) if run.status == "complete" else math.nan


def _best(by_value: dict[float, list[float]]) -> float | None:
    finite = {
        value: sum(scores) / len(scores)
        for value, scores in by_value.items()
        if all(map(math.isfinite, scores))
    }
    return max(finite, key=lambda value: finite[value]) if finite else None
