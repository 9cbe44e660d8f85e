"""Models are tried before training, in both modes, and the trial leaves no trace."""

import random
import re
from pathlib import Path

import nets_that_misbehave as nets
import numpy as np
import pytest
import torch

from hybridmpi.config.load import parse_job
from hybridmpi.engines.learners import Learners
from hybridmpi.errors import UserError
from hybridmpi.learning.flat import flatten
from hybridmpi.learning.problems.images import build_model

SHAPE = (1, 8, 8)


def build(name: str) -> torch.nn.Module:
    samples = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    return build_model(
        f"nets_that_misbehave:{name}", input_shape=SHAPE, num_classes=10, seed=1, samples=samples
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("GivesTwo", "output in evaluation is tuple, but must be one tensor"),
        ("GivesDict", "output in evaluation is dict, but must be one tensor"),
        ("Raises", "can't take inputs of shape [2, 1, 8, 8] in evaluation (KeyError: 'no such"),
        ("Decides", "output in evaluation for inputs of shape [2, 1, 8, 8] has shape [2], but"),
        ("DecidesForEachClass", "in evaluation is torch.int64, but must be floating-point"),
        ("Averages", "has shape [1, 10], but must have [2, 10]: one number per class"),
        ("DropsSingleBatch", "inputs of shape [1, 1, 8, 8] has shape [10], but must have [1, 10]"),
        ("IsNaN", "output in evaluation is NaN for samples of the data set"),
        ("Detaches", "training doesn't depend on its parameters, so that nothing can be learned"),
        ("CountsBySamples", "[3, 1, 8, 8] in training (RuntimeError: "),
        ("MakesNumber", "output in training is float, but must be one tensor"),
        ("GivesIntegers", "output in training is torch.int64, but must be floating-point"),
        ("WritesWhatBackwardNeeds", "gradient can't be computed (RuntimeError: one of the var"),
        ("Replaces", "puts another parameter in the place of 'line.weight'"),
        ("Freezes", "freezes its parameter 'line.bias' (requires_grad=False) in its forward"),
        ("SharesMemory", "'line.weight' and 'other.weight' lie in the same memory"),
        ("KeepsAnAlias", "'initial' and 'line.weight' lie in the same memory"),
        ("HoldsLargeIntegers", "'prime' holds integers up to 1000000007, and buffers travel"),
        ("the_same", "returns the same parameters each time; make the model inside"),
        ("without_values", "'line.weight' is on the device 'meta' and has no values"),
        ("of_inference", "'line.weight' was made in torch.inference_mode"),
    ],
)
def test_misbehaviour_is_refused_before_training(name: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        build(name)


@pytest.mark.parametrize("name", ["GivesTwo", "Detaches"])
def test_all_engines_refuse_it_while_they_load(name: str) -> None:
    job = parse_job(
        {
            "run": {"gradient_limit": 8},
            "method": {"preset": "sync"},
            "model": {"name": f"nets_that_misbehave:{name}"},
        },
        "test",
    )
    with pytest.raises(UserError, match=f"model.name is 'nets_that_misbehave:{name}'"):
        Learners(job, 2)


def test_the_trial_leaves_no_trace() -> None:
    random.seed(4)
    np.random.seed(4)
    torch.manual_seed(4)
    model = build("Counts")
    assert isinstance(model, nets.Counts)
    assert (model.calls, model.seen, int(model.batches)) == (0, [], 0)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())
    drawn = random.random(), np.random.random(), torch.rand(()).item()
    random.seed(4)
    np.random.seed(4)
    torch.manual_seed(4)
    assert drawn == (random.random(), np.random.random(), torch.rand(()).item())


@pytest.mark.parametrize("batch_size", [1, 8])
def test_what_engines_try_besides_leaves_no_trace(batch_size: int) -> None:
    job = parse_job(
        {
            "run": {"gradient_limit": 8},
            "method": {"preset": "sync"},
            "data": {"batch_size": batch_size},
            "model": {"name": "nets_that_misbehave:Counts"},
        },
        "test",
    )
    random.seed(4)
    np.random.seed(4)
    model = Learners(job, 2).model.model
    assert isinstance(model, nets.Counts)
    assert (model.calls, model.seen, int(model.batches)) == (0, [], 0)
    drawn = random.random(), np.random.random()
    random.seed(4)
    np.random.seed(4)
    assert drawn == (random.random(), np.random.random())


def test_the_trial_leaves_buffers_of_known_models_alone() -> None:
    model = build_model("resnet18", input_shape=(3, 32, 32), num_classes=10, seed=0)
    for key, buffer in model.named_buffers():
        assert torch.equal(buffer, torch.full_like(buffer, float("running_var" in key))), key
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_model_that_cannot_be_copied_is_tried_all_the_same() -> None:
    assert flatten(build("Hooked")).isfinite().all()


def test_an_import_that_seeds_does_not_fix_the_initial_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net_that_seeds.py").write_text(
        "import torch\nfrom nets_that_misbehave import Linear\ntorch.manual_seed(0)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "net_that_seeds:Linear"
    first, again = (build_model(name, input_shape=SHAPE, num_classes=10, seed=1) for _ in range(2))
    assert torch.equal(flatten(first), flatten(again))
