"""Every problem under MPI: what ships, and the user's own with samples of any kind."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybridmpi.config.load import parse_job
from hybridmpi.engines.replay import replay

OWN = Path(__file__).parents[1] / "problems"
SMALL: dict[str, dict[str, Any]] = {
    "language": {"characters": 4000, "context": 8, "width": 8, "heads": 2, "layers": 1},
    "logistic": {"samples": 200, "features": 5},
    "quadratic": {"dimension": 7},
    "regression": {"samples": 200, "targets": 2, "hidden": [8]},
    "own_problems:bag": {},
    "own_problems:dataset": {"generator": "numpy"},
    "own_problems:mapped": {},
}


@pytest.fixture(scope="module")
def world(train_all: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("mapped")
    rng = np.random.default_rng(0)
    np.save(folder / "inputs.npy", rng.random((60, 2), np.float32))
    np.save(folder / "targets.npy", rng.random((60, 1), np.float32))
    SMALL["own_problems:mapped"] = {"folder": str(folder)}
    jobs = {
        name.rpartition(":")[2]: {
            "run": {"gradient_limit": 60},
            "method": {"preset": "async"},
            "problem": {"name": name, "options": options},
            "data": {"batch_size": 4, "validation": 0.2},
            "optimizer": {"learning_rate": 0.05},
        }
        for name, options in SMALL.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(OWN), prepend=os.pathsep)
        patch.syspath_prepend(str(OWN))
        yield train_all(3, jobs)


@pytest.mark.parametrize("name", [name.rpartition(":")[2] for name in SMALL])
def test_run_is_replayed_bit_for_bit(world: Any, name: str) -> None:
    run = world.runs[name]
    assert run.status == "complete"
    assert run.evaluations.test_loss.notna().all()
    assert replay(run, parse_job(run.config, name)).is_match


def test_ranks_whose_models_differ_are_found_before_training(
    ranks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(OWN), prepend=os.pathsep)
    ranks.job.write_text(
        'run = { gradient_limit = 8, output = "runs/run.h5" }\n'
        'method = { preset = "sync" }\n'
        'problem = { name = "own_problems:by_process" }\n'
        "data = { batch_size = 2 }\n"
    )
    ended = ranks.launch(3)
    assert ended.exit_code == 2
    assert ended.count("the initial values of 'bias' differ each time its model is made") == 1
    assert not ranks.run_file.exists()
