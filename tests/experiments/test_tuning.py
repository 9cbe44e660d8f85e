"""Which value is best, worked out by hand."""

from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import Any

import pytest

from hybridmpi.config.experiment import Experiment
from hybridmpi.experiments.plan import plan
from hybridmpi.experiments.tuning import best_values
from hybridmpi.runlog.writer import RunWriter

BASE = {"run": {"time_limit_s": 10}, "evaluation": {"every_s": 10}}
GIVEN: dict[str, Any] = {
    "job": "job.toml",
    "seeds": 1,
    "tune": "optimizer.learning_rate",
    "variants": {name: {"method": {"preset": name}} for name in ("async", "sync")},
    "axes": {"optimizer.learning_rate": [0.1, 0.2, 0.4], "data.batch_size": [8]},
}
CELL = (("data.batch_size", 8),)


@pytest.mark.parametrize(
    ("outcome", "sync_best"), [("test_accuracy", 0.2), ("test_loss", 0.4), ("train_loss", 0.4)]
)
def test_best_is_the_mean_over_seeds_of_the_interval_mean_where_no_run_failed(
    new_run: Callable[..., RunWriter], tmp_path: Path, outcome: str, sync_best: float
) -> None:
    decision = {"reference": "async", "outcome": outcome, "margin": 0.1}
    made = plan(Experiment.model_validate(GIVEN | {"decision": decision}), BASE)
    # Of both seeds: sync has means 0.3, 0.35 and 0.25; of async one run failed, one is not finite.
    values = {
        ("sync", 0.1): (0.6, 0.0),
        ("sync", 0.2): (0.4, 0.3),
        ("sync", 0.4): (0.0, 0.5),
        ("async", 0.1): (0.1, 0.1),
        ("async", 0.2): (0.9, None),
        ("async", 0.4): (0.9, nan),
    }
    for run in made.runs:
        if not run.is_tuning:
            continue
        place = run.places[0]
        rate = dict(place.cell)["optimizer.learning_rate"]
        value = values[place.variant, rate][place.seed - 1_000_000]
        writer = new_run(tmp_path / run.file)
        for time_s in (0.0, 10.0):
            names = ("train_loss", "test_loss", "test_accuracy")
            measured = dict.fromkeys(names, 0.5 if value is None else value)
            writer.evaluation(time_s, 0, 0.0, measured)
        writer.close("complete" if value is not None else "failed")
    assert best_values(made, tmp_path) == {("async", CELL): 0.1, ("sync", CELL): sync_best}
