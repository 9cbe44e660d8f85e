"""Invariant 2: `sync` is the synchronous SGD that everybody knows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_training import train_data_parallel, train_in_a_loop

from hybridmpi.config.load import parse_job

STEPS = 10
FORMS = ("waiting", "collective")
AGGREGATIONS = ("mean", "sum", "sqrt")

# Both sides round every addition to float32, relative 6e-8, in another order, and 10 steps with
# momentum carry the differences on: parameters of about 0.1 to 1 agree to some 1e-7.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


def job(workers: int, form: str = "waiting", aggregation: str = "mean") -> dict[str, Any]:
    return {
        "run": {"gradient_limit": workers * STEPS, "seed": 5},
        "method": {"preset": "sync", "broadcast": form, "aggregation": aggregation},
        # Batches of one size: DDP takes the mean over workers, whatever their batches hold.
        "data": {"dataset": "digits", "batch_size": 16, "last_batch": "drop"},
        "model": {"name": "models_for_ranks:small"},
        "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    }


@pytest.fixture(scope="module", params=[3, 5], ids=lambda ranks: f"{ranks}_ranks")
def trained(
    request: pytest.FixtureRequest, train_all: Callable[..., Any]
) -> tuple[int, dict[str, Any]]:
    """Return the number of workers and the runs."""
    workers = request.param - 1
    jobs = {f"{form}-mean": job(workers, form) for form in FORMS}
    jobs |= {f"waiting-{name}": job(workers, aggregation=name) for name in AGGREGATIONS}
    return workers, train_all(request.param, jobs).runs


@pytest.mark.parametrize("name", ["waiting-mean", "collective-mean", "waiting-sum", "waiting-sqrt"])
def test_sync_equals_a_plain_loop_on_all_batches_together(
    trained: tuple[int, dict[str, Any]], name: str
) -> None:
    workers, runs = trained
    run = runs[name]
    assert run.steps.gradients.tolist() == [workers] * STEPS
    plain = train_in_a_loop(parse_job(run.config, name), workers, STEPS)
    np.testing.assert_allclose(run.final, plain, **TOLERANCE)


def test_sync_equals_distributed_data_parallel(
    trained: tuple[int, dict[str, Any]], tmp_path: Path
) -> None:
    workers, runs = trained
    parallel = train_data_parallel(parse_job(job(workers), "job"), workers, STEPS, tmp_path)
    for form in FORMS:
        np.testing.assert_allclose(runs[f"{form}-mean"].final, parallel, **TOLERANCE)
