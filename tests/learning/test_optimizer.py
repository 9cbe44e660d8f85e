import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hybridmpi.errors import UserError
from hybridmpi.learning.flat import Layout, flatten
from hybridmpi.learning.optimizer import ServerOptimizer
from hybridmpi.learning.problems.images import build_model

LEARNING_RATES = [0.1, 0.05, 0.02, 0.3]


def odd_model() -> nn.Module:
    """Sizes that no vector length divides, so that the ends of loops over vectors count."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Linear(7, 13), nn.Linear(13, 3))


def dense_model() -> nn.Module:
    """Matrices only, as Muon wants it."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 13, bias=False), nn.Linear(13, 3, bias=False))


def gradients(layout: Layout) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(layout.size, generator=generator) for _ in LEARNING_RATES]


def plain_loop(
    model: nn.Module,
    name: str,
    options: dict[str, Any],
    clip_norm: float | None = None,
    clip_value: float | None = None,
) -> list[Tensor]:
    """Return the parameters after each step of a torch loop."""
    model = copy.deepcopy(model)
    layout = Layout.of(model)
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=1.0, **options)
    versions = []
    for gradient, learning_rate in zip(gradients(layout), LEARNING_RATES, strict=True):
        views = layout.views(gradient)
        for key, parameter in model.named_parameters():
            parameter.grad = views[key].clone()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        if clip_value is not None:
            nn.utils.clip_grad_value_(model.parameters(), clip_value)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        versions.append(flatten(model)[: layout.num_parameters])
    return versions


def check_against_plain_loop(model: nn.Module, name: str, options: dict[str, Any], **clip: float):
    layout = Layout.of(model)
    expected = plain_loop(model, name, options, **clip)
    optimizer = ServerOptimizer(name.lower(), layout, options=options, **clip)
    # Three rows in turn, the third step in place; not aligned as a tensor's own memory is.
    rows = torch.full((3, layout.size + 1), float("nan"))[:, 1:]
    rows[0] = flatten(model)
    moves = [(0, 1), (1, 2), (2, 2), (2, 0)]
    for (source, target), gradient, learning_rate, version in zip(
        moves, gradients(layout), LEARNING_RATES, expected, strict=True
    ):
        before, tail = rows[source].clone(), rows[target, layout.num_parameters :].clone()
        optimizer.step(rows[source], rows[target], gradient, 1.0, learning_rate)
        assert torch.equal(rows[target, : layout.num_parameters], version)
        torch.testing.assert_close(
            rows[target, layout.num_parameters :], tail, rtol=0, atol=0, equal_nan=True
        )
        if source != target:
            torch.testing.assert_close(rows[source], before, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {}),
        ("SGD", {"momentum": 0.9}),
        ("SGD", {"momentum": 0.9, "dampening": 0.1, "weight_decay": 1e-3}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("SGD", {"weight_decay": 1e-2}),
        ("SGD", {"maximize": True}),
        ("Adam", {}),
        ("Adam", {"betas": [0.8, 0.9], "amsgrad": True, "weight_decay": 1e-2}),
        ("SGD", {"fused": True}),
        ("Adam", {"fused": True}),
        ("SGD", {"momentum": 0.9, "fused": True}),
        ("Adam", {"foreach": True}),
        ("AdamW", {"weight_decay": 0.1}),
        ("RMSprop", {"momentum": 0.9, "centered": True}),
        ("RMSprop", {"alpha": 0.9}),
        ("Adagrad", {"initial_accumulator_value": 0.1}),
        ("Adadelta", {}),
        ("Adamax", {}),
        ("NAdam", {}),
        ("RAdam", {}),
        ("ASGD", {}),
        ("Rprop", {}),
        ("Adafactor", {}),
    ],
)
def test_steps_have_the_bits_of_a_plain_torch_loop(name: str, options: dict[str, Any]) -> None:
    check_against_plain_loop(odd_model(), name, options)


def test_muon_has_the_bits_of_a_plain_torch_loop() -> None:
    check_against_plain_loop(dense_model(), "Muon", {})


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize(
    "clip", [{"clip_norm": 0.7}, {"clip_value": 0.3}, {"clip_norm": 9.0, "clip_value": 0.3}]
)
def test_clipping_has_the_bits_of_a_plain_torch_loop(name: str, clip: dict[str, float]) -> None:
    check_against_plain_loop(odd_model(), name, {}, **clip)


def test_large_model_has_the_bits_of_a_plain_torch_loop() -> None:
    model = build_model("mnist_cnn", input_shape=(1, 28, 28), num_classes=10, seed=0)
    check_against_plain_loop(model, "SGD", {})
    check_against_plain_loop(model, "Adam", {})


def test_plain_sgd_subtracts_learning_rate_times_gradient() -> None:
    layout = Layout.of(nn.Linear(1, 1))
    target = torch.zeros(2)
    ServerOptimizer("SGD", layout, options={}).step(
        torch.tensor([1.0, 2.0]), target, torch.tensor([4.0, -8.0]), 0.5, 0.25
    )
    assert target.tolist() == [0.5, 3.0]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adma", {}, "optimizer 'adma' isn't in torch.optim; did you mean .*'adam'"),
        ("optimizer", {}, "isn't in torch.optim"),
        ("LBFGS", {}, "'LBFGS' can't be used: it evaluates the loss several times"),
        ("sparseadam", {}, "can't be used: it takes sparse gradients"),
        ("sgd", {"lr": 0.1}, "lr can't be set; it is learning_rate"),
        ("sgd", {"momentun": 0.9}, "'momentun' is no option of torch.optim.SGD; .*momentum = 0"),
        ("adam", {"capturable": True}, "'capturable' is no option"),
        ("sgd", {"momentum": -1}, r"SGD refuses .*\(momentum = -1\): Invalid momentum"),
        ("adam", {"betas": [0.9]}, "Adam refuses this model or its options"),
        ("sgd", {"momentum": "much"}, "SGD refuses this model or its options"),
        ("muon", {}, "Muon refuses this model .* only supports 2D"),
    ],
)
def test_unusable_optimizer_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ServerOptimizer(name, Layout.of(odd_model()), options=options)


def test_scaled_gradient_is_the_one_that_is_clipped_and_remembered() -> None:
    layout = Layout.of(nn.Linear(1, 1))
    optimizer = ServerOptimizer("SGD", layout, options={"momentum": 0.5}, clip_value=1.0)
    parameters = torch.zeros(2)
    for _ in range(2):
        optimizer.step(parameters, parameters, torch.tensor([1.0, 8.0]), 0.25, 1.0)
    assert parameters.tolist() == [-0.25 - 0.375, -1.0 - 1.5]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sgd", {"momentum": 0.9, "nesterov": True}),
        ("sgd", {"weight_decay": 0.1}),
        ("sgd", {}),
        ("rmsprop", {"centered": True, "momentum": 0.5}),
        ("adam", {"amsgrad": True}),
        *((name, {}) for name in ("asgd", "rprop", "adagrad", "adadelta", "adamax", "nadam")),
        *((name, {}) for name in ("adamw", "radam", "adafactor")),
    ],
)
def test_an_optimizer_that_goes_on_for_another_takes_the_same_steps(
    name: str, options: dict[str, Any]
) -> None:
    layout = Layout.of(nn.Linear(3, 4))
    random = torch.Generator().manual_seed(0)
    gradients = torch.randn(6, layout.size, generator=random)

    def steps(optimizer: ServerOptimizer, parameters: Tensor, rows: Tensor) -> Tensor:
        for row in rows:
            optimizer.step(parameters, parameters, row.clone(), 1.0, 0.1)
        return parameters

    first, second = (ServerOptimizer(name, layout, options=options) for _ in range(2))
    parameters = steps(first, torch.ones(layout.size), gradients[:3])
    kept = {key: value.clone() for key, value in first.state().items()}
    expected = steps(first, parameters.clone(), gradients[3:])
    second.resume(kept)
    assert torch.equal(steps(second, parameters.clone(), gradients[3:]), expected)
