"""Models with buffers: they travel with the pushes, and the server's model evaluates right."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hybridmpi.learning.flat import Layout
from hybridmpi.runlog.run import Run

STEPS = 3
JOB: dict[str, Any] = {
    "run": {"gradient_limit": 2 * STEPS},
    "method": {"preset": "sync"},
    "data": {
        "dataset": "synthetic",
        "batch_size": 4,
        "options": {"samples": 50, "shape": [3, 32, 32], "classes": 10},
    },
    "model": {"name": "resnet18"},
}


@pytest.fixture(scope="module")
def run(train_all: Callable[..., Any]) -> Run:
    runs: dict[str, Run] = train_all(3, {"resnet18": JOB}).runs
    return runs["resnet18"]


@pytest.fixture(scope="module")
def statistics(run: Run) -> dict[str, Tensor]:
    layout = Layout(**{**run.layout, "entries": ()})
    assert layout.size > layout.num_parameters > 11_000_000
    return {
        entry["name"]: torch.from_numpy(run.final)[
            entry["offset"] : entry["offset"] + int(np.prod(entry["shape"]))
        ]
        for entry in run.layout["entries"]
        if not entry["is_parameter"]
    }


def test_running_statistics_have_moved(statistics: dict[str, Tensor]) -> None:
    for name, values in statistics.items():
        assert values.isfinite().all()
        initial = 1.0 if name.endswith("running_var") else 0.0
        assert (values != initial).any(), name


def test_batches_are_counted_as_one_worker_does(statistics: dict[str, Tensor]) -> None:
    counters = [v for name, v in statistics.items() if name.endswith("num_batches_tracked")]
    assert len(counters) == 20
    assert all(counter.item() == STEPS for counter in counters)


def test_evaluation_is_finite(run: Run) -> None:
    assert np.isfinite(run.evaluations.drop(columns="time_s")).all(axis=None)
    assert run.evaluations.version.iloc[-1] == STEPS
