"""Invariant 3: with one worker every method is plain SGD, bit for bit."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from plain_training import train_in_a_loop

from hybridmpi.config.load import parse_job
from hybridmpi.core.presets import PRESETS

GRADIENTS = 100  # the last batch of an epoch, the 91st, is short
GROWING = {"schedule": "step", "initial": 1, "increment": 1, "every": 5}
SHRINKING = {"schedule": "polynomial", "initial": 4, "final": 1, "duration": 20}
CONSTANT = {"schedule": "constant", "value": 2}
OPEN_FIELDS: dict[str, dict[str, Any]] = {
    "sync": {},
    "async": {},
    "hybrid": {"threshold": GROWING},
    "reverse-hybrid": {"threshold": SHRINKING},
    "k-async": {"threshold": CONSTANT},
    "k-batch-async": {"threshold": CONSTANT},
    "m-sync": {"threshold": CONSTANT},
    "k-sync": {"threshold": CONSTANT},
    "rennala": {"threshold": CONSTANT},
    "ringmaster": {"stale": {"rule": "discard", "limit": 2}},
}
SGD = {"name": "sgd", "learning_rate": 0.05}
OPTIMIZERS = {"hybrid": SGD | {"momentum": 0.9}, "async": {"name": "adam", "learning_rate": 0.01}}
FORMS = ("waiting", "collective")


def job(preset: str, form: str) -> dict[str, Any]:
    return {
        "run": {"gradient_limit": GRADIENTS},
        "method": {"preset": preset, "broadcast": form, **OPEN_FIELDS[preset]},
        "data": {"dataset": "digits", "batch_size": 16},
        "model": {"name": "models_for_ranks:convolutional"},
        "optimizer": OPTIMIZERS.get(preset, SGD),
    }


@pytest.fixture(scope="module")
def world(train_all: Callable[..., Any]) -> Any:
    jobs = {f"{preset}-{form}": job(preset, form) for preset in PRESETS for form in FORMS}
    return train_all(2, jobs)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("preset", PRESETS)
def test_one_worker_is_plain_sgd(world: Any, preset: str, form: str) -> None:
    run = world.runs[f"{preset}-{form}"]
    torch.set_num_threads(run.attributes["torch_threads"])
    plain = train_in_a_loop(parse_job(run.config, preset), 1, GRADIENTS)
    assert run.final_version == GRADIENTS
    np.testing.assert_array_equal(run.final, plain)


def test_torchvision_is_imported_only_where_it_is_needed(world: Any) -> None:
    assert [modules & {"torchvision"} for modules in world.modules] == [set(), set()]


def test_server_alone_imports_what_writes_the_run_file_and_optimizes(world: Any) -> None:
    of_server = {"h5py", "torch._dynamo", "hybridmpi.learning.optimizer"}
    watched = of_server | {"pandas"}  # which only reading takes
    assert [modules & watched for modules in world.modules] == [of_server, set()]


def test_worker_imports_only_what_it_uses(world: Any) -> None:
    of_torch, used = packages(modules_of_torch()), packages(world.modules[1])
    assert used - of_torch - sys.stdlib_module_names == {
        *("hybridmpi", "mpi4py", "models_for_ranks"),
    }


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules if not name.startswith("_")}


def modules_of_torch() -> set[str]:
    """Return what torch imports by itself."""
    code = "import sys, torch; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())
