import json

import pytest
import torch
from torch import Tensor, nn

from hybridmpi.errors import UserError
from hybridmpi.learning.flat import FlatModel, Layout, flatten, state_dict


class Mixed(nn.Module):
    """Six parameters; five persistent buffer elements, two of them integers; one that isn't."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(2, 2)
        self.statistics = nn.Module()
        self.statistics.register_buffer("mean", torch.tensor([0.5, 1.5, 2.5]))
        self.register_buffer("count", torch.tensor([3, 4]))
        self.register_buffer("cache", torch.tensor([9.0]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.statistics.mean = self.statistics.mean + 1  # replaces the buffer
        return self.dense(x)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def test_parameters_come_first_and_persistent_buffers_behind() -> None:
    layout = Layout.of(Mixed())
    assert [(e.name, e.shape, e.offset, e.dtype, e.is_parameter) for e in layout.entries] == [
        ("dense.weight", (2, 2), 0, "float32", True),
        ("dense.bias", (2,), 4, "float32", True),
        ("count", (2,), 6, "int64", False),
        ("statistics.mean", (3,), 8, "float32", False),
    ]
    assert (layout.num_parameters, layout.size) == (6, 11)


def test_layout_survives_json() -> None:
    layout = Layout.of(Mixed())
    text = layout.to_json()
    assert Layout.from_json(text) == layout
    assert json.loads(text)["entries"][1] == {
        "name": "dense.bias",
        "shape": [2],
        "offset": 4,
        "dtype": "float32",
        "is_parameter": True,
        "is_channels_last": False,
    }


def test_views_share_memory_with_the_vector() -> None:
    vector = torch.arange(11.0)
    views = Layout.of(Mixed()).views(vector)
    assert views["dense.weight"].tolist() == [[0, 1], [2, 3]]
    views["statistics.mean"][0] = -1
    assert vector[8] == -1


def test_shared_parameter_appears_once_and_gets_both_gradients() -> None:
    model = Tied()
    flat = FlatModel(model)
    assert [entry.name for entry in flat.layout.entries] == ["first.weight"]
    push = torch.zeros(9)
    flat.bind(torch.eye(3).flatten(), push)
    model(torch.tensor([[1.0, 2.0, 3.0]])).sum().backward()
    # y = W W x: at W = 1 the gradient of sum(y) is 1 x^T twice, and 1^T W = 1, W x = x.
    assert push.tolist() == [2, 4, 6] * 3
    model.load_state_dict(state_dict(flat.layout, push), strict=False)


def test_weights_in_channels_last_order_lie_so_in_the_vector() -> None:
    model = nn.Conv2d(2, 3, (1, 2)).to(memory_format=torch.channels_last)
    reference = nn.Conv2d(2, 3, (1, 2))
    reference.load_state_dict(model.state_dict())
    vector = flatten(model)
    assert torch.equal(vector[:12], model.weight.permute(0, 2, 3, 1).flatten())
    flat, push = FlatModel(model), torch.zeros(15)
    assert Layout.from_json(flat.layout.to_json()).entries[0].is_channels_last
    flat.bind(vector, push)
    assert model.weight.is_contiguous(memory_format=torch.channels_last)
    inputs = torch.randn(5, 2, 4, 4)
    model(inputs).square().sum().backward()
    reference(inputs).square().sum().backward()
    gradient = state_dict(flat.layout, push)
    torch.testing.assert_close(gradient["weight"], reference.weight.grad)
    torch.testing.assert_close(gradient["bias"], reference.bias.grad)


def test_flatten_and_state_dict_are_inverse() -> None:
    model = Mixed()
    vector = flatten(model)
    assert vector[6:].tolist() == [3, 4, 0.5, 1.5, 2.5]
    restored = Mixed()
    restored.load_state_dict(state_dict(Layout.of(model), vector))
    assert torch.equal(flatten(restored), vector)


def test_state_dict_rounds_integers_and_owns_its_memory() -> None:
    vector = torch.full((11,), 2.6)
    tensors = state_dict(Layout.of(Mixed()), vector)
    assert tensors["count"].dtype == torch.int64
    assert tensors["count"].tolist() == [3, 3]
    tensors["dense.bias"].zero_()
    assert vector[4] == 2.6


def test_double_model_becomes_float32() -> None:
    flat = FlatModel(nn.Linear(2, 1).double())
    assert flatten(flat.model).dtype == torch.float32
    flat.bind(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3))
    assert flat.model(torch.ones(1, 2)).item() == 6


def test_complex_parameter_is_refused() -> None:
    with pytest.raises(UserError, match=r"'weight' is torch.complex64, but .* must be real"):
        Layout.of(nn.Linear(2, 2, dtype=torch.complex64))


def test_gradient_accumulates_in_the_push() -> None:
    flat = FlatModel(nn.Linear(2, 1))
    push = torch.full((3,), 7.0)
    flat.bind(torch.tensor([1.0, 2.0, 3.0]), push)
    flat.zero_gradient()
    flat.model(torch.tensor([[4.0, 5.0]])).sum().backward()
    assert push.tolist() == [4, 5, 1]


def test_buffers_travel_from_parameters_to_push_and_parameters_stay() -> None:
    flat = FlatModel(Mixed())
    parameters = torch.tensor([0.0] * 6 + [10, 20, 1, 2, 3])
    before = parameters.clone()
    push = torch.zeros(11)
    for _ in range(2):  # the second time, nothing may be left of the first
        flat.bind(parameters, push)
        flat.model(torch.ones(1, 2))
        flat.collect()
        assert push[6:].tolist() == [11, 21, 2, 3, 4]
    assert torch.equal(parameters, before)
    assert flat.model.count.dtype == torch.int64


def test_other_vectors_replace_the_bound_ones() -> None:
    flat = FlatModel(nn.Linear(1, 1))
    parameters, pushes = torch.tensor([[1.0, 0.0], [5.0, 0.0]]), torch.zeros(2, 2)
    for parameter_row, push_row in [(0, 0), (1, 0), (1, 1), (0, 1)]:
        pushes.zero_()
        flat.bind(parameters[parameter_row], pushes[push_row])
        output = flat.model(torch.tensor([[2.0]]))
        output.sum().backward()
        assert output.item() == 2 * parameters[parameter_row, 0]
        assert pushes[push_row].tolist() == [2, 1]
        assert pushes[1 - push_row].tolist() == [0, 0]


def test_binding_the_same_memory_again_keeps_the_views() -> None:
    flat = FlatModel(nn.Linear(1, 1))
    rows = torch.zeros(2, 2)
    flat.bind(rows[0], rows[1])
    gradients = [parameter.grad for parameter in flat.model.parameters()]
    flat.bind(rows[0], rows[1])
    assert all(
        parameter.grad is gradient
        for parameter, gradient in zip(flat.model.parameters(), gradients, strict=True)
    )
