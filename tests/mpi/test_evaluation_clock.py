"""Invariant 6: evaluation never stops the clock."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from models_for_ranks import SLOW_EVALUATION_S
from numpy.testing import assert_allclose, assert_array_equal

TIME_S = 1.0
EVERY_S = 0.25
PARTS = 3  # forward passes of an evaluation: two for the training subset, one for the test set


def job(**sections: dict[str, Any]) -> dict[str, Any]:
    return {
        "method": {"preset": "async"},
        "data": {"dataset": "digits", "batch_size": 16},
        "model": {"name": "models_for_ranks:slow_to_evaluate"},
        **sections,
    }


JOBS = {
    "by time": job(
        run={"time_limit_s": TIME_S, "keep_snapshots": True}, evaluation={"every_s": EVERY_S}
    ),
    "by steps": job(run={"step_limit": 8}, evaluation={"every_steps": 4}),
}


@pytest.fixture(scope="module")
def world(train_all: Callable[..., Any]) -> Any:
    return train_all(3, JOBS)


def test_snapshots_are_on_the_grid(world: Any) -> None:
    run = world.runs["by time"]
    grid = np.arange(0, TIME_S + EVERY_S / 2, EVERY_S)
    assert_array_equal(run.evaluations.time_s, grid)
    assert_array_equal(run.snapshots.time_s, grid)


def test_evaluated_versions_were_in_force(world: Any) -> None:
    run = world.runs["by time"]
    in_force = np.searchsorted(run.steps.time_s, run.evaluations.time_s)
    assert_array_equal(run.evaluations.version, in_force)
    assert run.evaluations.version.iloc[-1] == run.final_version
    assert_array_equal(run.snapshot(run.final_version), run.final)


def test_epochs_count_the_samples_pushed_by_then(world: Any) -> None:
    run = world.runs["by time"]
    for row in run.evaluations.itertuples():
        samples = run.gradients.samples[run.gradients.step <= row.version].sum()
        assert_allclose(row.epoch, samples / run.attributes["training_samples"])


def test_training_leaves_no_room_for_an_evaluation(world: Any) -> None:
    run = world.runs["by time"]
    evaluated = run.evaluations.version.nunique()
    assert world.seconds["by time"] > TIME_S + evaluated * PARTS * SLOW_EVALUATION_S
    assert run.duration_s == TIME_S
    times = [0.0, *run.gradients.time_s, TIME_S]
    assert max(np.diff(times)) < PARTS * SLOW_EVALUATION_S


def test_snapshots_by_steps(world: Any) -> None:
    run = world.runs["by steps"]
    assert run.evaluations.version.tolist() == [0, 4, 8]
    assert_array_equal(run.evaluations.time_s[1:], run.steps.time_s[[3, 7]])
