"""Invariant 4: a run under mpirun, computed again in its recorded order, has the same bits."""

from collections.abc import Callable
from typing import Any

import pytest

from hybridmpi.config.load import parse_job
from hybridmpi.core.presets import PRESETS
from hybridmpi.engines.replay import replay
from hybridmpi.learning.shards import split
from hybridmpi.runlog.run import Run

WORKERS = 4
GROWING = {"schedule": "step", "initial": 1, "increment": 1, "every": 30}
SHRINKING = {"schedule": "step", "initial": 4, "increment": -1, "every": 30}
THRESHOLDS = {"hybrid": GROWING, "reverse-hybrid": SHRINKING}


def job(preset: str, **method: Any) -> dict[str, Any]:
    if PRESETS[preset].constant:
        method["threshold"] = {"schedule": "constant", "value": 3}
    elif preset in THRESHOLDS:
        method["threshold"] = THRESHOLDS[preset]
    if preset == "ringmaster":
        method["stale"] = {"rule": "discard", "limit": 2}
    return {
        "run": {"gradient_limit": 150, "seed": 2},
        "method": {"preset": preset, **method},
        "data": {"dataset": "digits", "batch_size": 16},
        "model": {"name": "models_for_ranks:drawing_and_remembering"},
        "optimizer": {"name": "adam", "learning_rate": 0.002},
        "delays": {"fraction": 0.5, "max_s": 0.004},
    }


JOBS = {preset: job(preset) for preset in PRESETS}
JOBS["damped"] = job("async", stale={"rule": "power", "exponent": 0.7})
JOBS["collective"] = job("hybrid", broadcast="collective", aggregation="sqrt")
JOBS["validation"] = job("hybrid")
JOBS["validation"]["data"]["validation"] = 0.25
# A worker's forward pass must not change what the server and the others read.
for transport in ("shared", "messages", "collective"):
    is_collective = transport == "collective"
    changed = job("async", broadcast="collective" if is_collective else "waiting")
    changed["run"]["transport"] = "auto" if is_collective else transport
    changed["model"] = {"name": "models_for_ranks:changing"}
    changed["data"] = {
        "dataset": "synthetic",  # float32, without mean and std
        "batch_size": 16,
        "options": {"samples": 400, "shape": [1, 4, 4], "classes": 10},
    }
    JOBS[f"changed parameters, {transport}"] = changed
# Of a norm over many elements the bits depend on the number of threads.
JOBS["server threads"] = job("hybrid") | {
    "run": {"gradient_limit": 150, "seed": 2, "server_threads": 2},
    "data": {
        "dataset": "synthetic",
        "batch_size": 2,
        "options": {"samples": 400, "shape": [1, 16, 16], "classes": 10},
    },
    "model": {"name": "mnist_cnn"},
    "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9, "clip_norm": 0.1},
}


@pytest.fixture(scope="module")
def runs(train_all: Callable[..., Any]) -> dict[str, Run]:
    runs: dict[str, Run] = train_all(WORKERS + 1, JOBS).runs
    return runs


@pytest.mark.parametrize("name", JOBS)
def test_replay_has_the_bits_of_the_run(runs: dict[str, Run], name: str) -> None:
    run = runs[name]
    verdict = replay(run, parse_job(run.config, "run"))
    assert verdict.other_conditions == []
    assert verdict.first_difference == ""
    assert verdict.equal_losses == verdict.gradients == len(run.gradients) == 150
    assert verdict.steps == run.final_version > 10
    assert verdict.largest_parameter_difference == 0


def test_run_file_says_what_its_evaluations_are_of(runs: dict[str, Run]) -> None:
    whole, tuning = (runs[name] for name in ("hybrid", "validation"))
    assert whole.evaluated_on == "test"
    assert tuning.evaluated_on == "validation"
    trained_on, held_out = split(whole.attributes["training_samples"], 0.25)
    assert tuning.attributes["training_samples"] == tuning.workers.shard_size.sum()
    assert tuning.attributes["training_samples"] == len(trained_on)
    rightly_classified = tuning.evaluations.test_accuracy.iloc[-1] * len(held_out)
    assert rightly_classified == pytest.approx(round(rightly_classified), abs=1e-9)


def test_replay_says_at_which_gradient_the_bits_begin_to_differ(runs: dict[str, Run]) -> None:
    run = runs["hybrid"]
    run.gradients.loc[70, "loss"] *= 1 + 1e-15
    verdict = replay(run, parse_job(run.config, "run"))
    assert verdict.first_difference.startswith("gradient 70 (worker ")
    assert verdict.equal_losses == 149
    assert 0 < verdict.largest_loss_difference < 1e-13
    assert verdict.largest_parameter_difference == 0
