"""Invariants 4 and 7: arrivals decide the bits of a run, and the seed all that it draws."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from plain_training import batches_of, model_of
from torch import Tensor

from hybridmpi.config.load import parse_job
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.gradients import GradientComputer
from hybridmpi.learning.optimizer import ServerOptimizer
from hybridmpi.learning.problems.images import cross_entropy
from hybridmpi.learning.update import Update
from hybridmpi.runlog.run import Run

WORKERS = 4
GROWING = {"schedule": "step", "initial": 1, "increment": 1, "every": 20}
METHODS: dict[str, dict[str, Any]] = {
    "hybrid": {"preset": "hybrid", "threshold": GROWING, "aggregation": "sqrt"},
    "k-batch-async": {
        "preset": "k-batch-async",
        "threshold": {"schedule": "constant", "value": 3},
        "broadcast": "collective",
    },
    "sync": {"preset": "sync"},
}


def job(method: str, seed: int = 3) -> dict[str, Any]:
    return {
        # an epoch is 91 batches
        "run": {"gradient_limit": 120, "seed": seed, "keep_snapshots": True},
        "method": METHODS[method],
        "data": {"dataset": "digits", "batch_size": 16},
        "model": {"name": "models_for_ranks:drawing_and_remembering"},
        "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "clip_norm": 1.0},
        "delays": {"fraction": 0.5, "max_s": 0.005},
    }


@pytest.fixture(scope="module")
def runs(train_all: Callable[..., Any]) -> dict[str, Run]:
    jobs = {method: job(method) for method in METHODS}
    runs: dict[str, Run] = train_all(WORKERS + 1, jobs | {"other seed": job("sync", 4)}).runs
    return runs


def recompute(run: Run) -> Tensor:
    """Take a run's steps again, in one process, from what its file says of arrivals."""
    job = parse_job(run.config, "run file")
    torch.set_num_threads(run.attributes["torch_threads"])
    model, batches = model_of(job), batches_of(job, WORKERS)
    versions = [flatten(model)]
    flat = FlatModel(model)
    computer = GradientComputer(flat, cross_entropy, seed=job.run.seed)
    section, layout = job.optimizer, flat.layout
    optimizer = ServerOptimizer(
        section.name, layout, options=section.options, clip_norm=section.clip_norm
    )
    update = Update(layout, optimizer)
    for step in run.steps.itertuples():
        rows = run.gradients[run.gradients.step == step.version]
        for row in rows.itertuples():
            push = torch.empty(layout.size)
            of_worker, parameters = batches[row.worker - 1], versions[row.version]
            gradient = computer.compute(of_worker, row.worker, row.batch, parameters, push)
            assert gradient is not None
            assert gradient.loss == row.loss
            update.accumulate(push, row.samples / rows.samples.iloc[0], row.samples)
        versions.append(torch.empty(layout.size))
        update.step(*versions[-2:], rows.weight.iloc[0], step.learning_rate)
    return versions[-1]


@pytest.mark.parametrize("method", METHODS)
def test_same_arrivals_give_the_same_bits(runs: dict[str, Run], method: str) -> None:
    run = runs[method]
    assert run.gradients.step.max() == run.final_version > 10
    np.testing.assert_array_equal(run.final, recompute(run))


def first_losses(run: Run) -> list[float]:
    """Return each worker's loss on its first batch, at the initial parameters."""
    first = run.gradients[run.gradients.batch == 0].sort_values("worker")
    assert first.worker.tolist() == list(range(1, WORKERS + 1))
    assert (first.version == 0).all()
    losses: list[float] = first.loss.tolist()
    return losses


def initial_weights(run: Run) -> Any:
    """Return the first layer's weights at version 0: biases and buffers may begin as 0."""
    weights = run.layout["entries"][0]
    assert len(weights["shape"]) == 2
    return run.snapshot(0)[: np.prod(weights["shape"])]


def test_methods_with_one_seed_face_the_same_world(runs: dict[str, Run]) -> None:
    for other in ("hybrid", "k-batch-async"):
        np.testing.assert_array_equal(runs["sync"].snapshot(0), runs[other].snapshot(0))
        assert first_losses(runs["sync"]) == first_losses(runs[other])
        assert runs["sync"].workers.equals(runs[other].workers)


def test_another_seed_is_another_world(runs: dict[str, Run]) -> None:
    losses, others = first_losses(runs["sync"]), first_losses(runs["other seed"])
    assert set(losses).isdisjoint(others)
    assert (initial_weights(runs["sync"]) != initial_weights(runs["other seed"])).all()
