import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hybridmpi.learning import evaluation as tested
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.problems.images import build_model, classification, image_samples

IDENTITY = torch.tensor([1.0, 0, 0, 1, 0, 0])  # outputs are the two pixels

PROBLEM = classification("two pixels", (1, 1, 2), 2)


def evaluate(
    model: FlatModel, parameters: Tensor, inputs: Tensor, labels: Tensor, **options: Any
) -> dict[str, float]:
    of_samples = {key: options.pop(key) for key in {"mean", "std"} & options.keys()}
    samples = image_samples(inputs, labels, **of_samples)
    return tested.evaluate(model, PROBLEM, parameters, samples, **options)


def two_pixels() -> FlatModel:
    return FlatModel(nn.Sequential(nn.Flatten(), nn.Linear(2, 2)))


def test_loss_and_accuracy_are_those_worked_by_hand() -> None:
    inputs = torch.tensor([[0, 255], [255, 0], [255, 0]], dtype=torch.uint8).view(3, 1, 1, 2)
    evaluation = evaluate(two_pixels(), IDENTITY, inputs, torch.tensor([1, 0, 1]))
    # outputs (0, 1), (1, 0), (1, 0): the right one is ahead by 1, by 1, and behind by 1.
    ahead, behind = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    assert evaluation["loss"] == pytest.approx((2 * ahead + behind) / 3, rel=1e-6)
    assert evaluation["accuracy"] == pytest.approx(2 / 3)


def test_inputs_are_normalised_and_stay_as_they_are() -> None:
    inputs = torch.tensor([[3.0, 5.0]]).view(1, 1, 1, 2)
    for _ in range(2):
        # (3 - 1) / 2 = 1 and (5 - 1) / 2 = 2
        evaluation = evaluate(
            two_pixels(), IDENTITY, inputs, torch.tensor([1]), mean=(1.0,), std=(2.0,)
        )
        assert evaluation["loss"] == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-6)
    assert inputs.flatten().tolist() == [3, 5]


def test_batch_size_only_bounds_memory() -> None:
    flat = FlatModel(build_model("resnet18", input_shape=(3, 32, 32), num_classes=10, seed=0))
    inputs = torch.randint(256, (7, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(7)
    parameters = flatten(flat.model)
    whole, parts = (evaluate(flat, parameters, inputs, labels, batch_size=n) for n in (1000, 3))
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert parts["accuracy"] == whole["accuracy"]
    expected = functional.cross_entropy(flat.model.eval()(inputs / 255), labels).item()
    assert whole["loss"] == pytest.approx(expected, rel=1e-5)


def test_running_statistics_are_used_and_stay_as_they_are() -> None:
    flat = FlatModel(nn.Sequential(nn.BatchNorm2d(1, affine=False), nn.Flatten(), nn.Linear(2, 2)))
    views = {entry.name: entry for entry in flat.layout.entries}
    parameters = flatten(flat.model)
    parameters[: flat.layout.num_parameters] = IDENTITY
    views["0.running_mean"].view(parameters).fill_(3.0)
    views["0.running_var"].view(parameters).fill_(4.0)
    before = parameters.clone()
    inputs = torch.tensor([[5.0, 7.0]]).view(1, 1, 1, 2)
    # (5 - 3) / 2 = 1 and (7 - 3) / 2 = 2
    evaluation = evaluate(flat, parameters, inputs, torch.tensor([0]))
    assert evaluation["loss"] == pytest.approx(math.log(1 + math.exp(1)), rel=1e-4)
    assert torch.equal(parameters, before)


def test_every_module_keeps_its_mode() -> None:
    flat = FlatModel(build_model("resnet18", input_shape=(3, 32, 32), num_classes=10, seed=0))
    flat.model.train()
    flat.model.get_submodule("layer1").eval()
    before = [module.training for module in flat.model.modules()]
    evaluate(flat, flatten(flat.model), torch.zeros(1, 3, 32, 32), torch.tensor([0]))
    assert [module.training for module in flat.model.modules()] == before
    assert len(set(before)) == 2


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_diverged_model_has_a_loss_that_says_so(value: float) -> None:
    parameters = torch.full((6,), value)
    evaluation = evaluate(two_pixels(), parameters, torch.ones(4, 1, 1, 2), torch.zeros(4).long())
    assert math.isnan(evaluation["loss"])
    assert 0 <= evaluation["accuracy"] <= 1


def test_training_goes_on_where_it_was() -> None:
    flat = two_pixels()
    parameters, push = torch.ones(6), torch.zeros(6)
    flat.bind(parameters, push)
    evaluate(flat, IDENTITY, torch.zeros(1, 1, 1, 2), torch.tensor([0]))
    flat.bind(parameters, push)
    output = flat.model(torch.ones(1, 1, 1, 2))
    output.sum().backward()
    assert output.tolist() == [[3, 3]]
    assert push.tolist() == [1] * 6
