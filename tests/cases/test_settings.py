"""A user's code may change global settings: ours computes the same bits all the same."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridmpi import read_run
from hybridmpi.config.load import parse_job
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.errors import UserError
from hybridmpi.learning.datasets import load_dataset
from hybridmpi.runlog.run import Run


@pytest.fixture(autouse=True)
def imported_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have what happens at import happen in each test, and only there."""
    with monkeypatch.context() as patch:
        for name in ("nets_with_settings", "data_with_settings"):
            patch.delitem(sys.modules, name, raising=False)
        yield
    for name in ("nets_with_settings", "data_with_settings"):
        sys.modules.pop(name, None)


def simulate(folder: Path, model: str, data: str) -> Run:
    job = parse_job(
        {
            "run": {"gradient_limit": 12},
            "method": {"preset": "async"},
            "data": {"dataset": data, "batch_size": 8},
            "model": {"name": model},
            "optimizer": {"name": "adam", "clip_norm": 1.0},
            "simulate": {"workers": 2},
        },
        "test",
    )
    Simulation(job).run(folder / "run.h5", force=True)
    return read_run(folder / "run.h5")


@pytest.mark.parametrize(
    ("model", "data"),
    [
        ("nets_with_settings:when_imported", "data_as_given:words"),
        ("nets_with_settings:when_called", "data_as_given:words"),
        ("nets_with_settings:when_run", "data_as_given:words"),
        ("nets_that_misbehave:Linear", "data_with_settings:words"),
        ("nets_that_misbehave:Linear", "data_with_settings:of_inference"),
    ],
)
def test_settings_are_put_back(tmp_path: Path, model: str, data: str) -> None:
    plain = simulate(tmp_path, "nets_that_misbehave:Linear", "data_as_given:words")
    folder, errors = Path.cwd(), np.geterr()
    run = simulate(tmp_path, model, data)
    assert run.final is not None
    assert plain.final is not None
    assert run.final.tobytes() == plain.final.tobytes()
    assert run.evaluations.equals(plain.evaluations)
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_default_device() == torch.device("cpu")
    assert torch.is_grad_enabled()
    assert torch.get_num_threads() == 1
    assert (Path.cwd(), np.geterr()) == (folder, errors)


def test_a_model_made_of_double_precision_is_trained_in_single(tmp_path: Path) -> None:
    run = simulate(tmp_path, "nets_with_settings:in_double", "data_as_given:words")
    assert run.status == "complete"


def test_code_that_leaves_torch_in_inference_mode_is_refused() -> None:
    try:
        with pytest.raises(UserError, match="leaves torch in inference mode, in which nothing"):
            load_dataset("data_with_settings:left_in_inference")
    finally:
        sys.modules["data_with_settings"].MODE.__exit__(None, None, None)
