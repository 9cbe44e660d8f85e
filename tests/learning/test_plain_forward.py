"""Which classes of a user's compute on the version in force itself."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.functional import relu

from hybridmpi.learning.known_modules import may_change_parameters
from hybridmpi.learning.plain_forward import OF_TORCH


class Plain(nn.Module):
    """Two layers, and what `forward` below does."""

    width = 4

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.ReLU()])
        self.p = 0.1
        self.calls = 0
        self.anything = object()
        self.register_buffer("kept", torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)))  # type: ignore[no-any-return]


class Convolutional(Plain):
    def features(self, x: Tensor, *, scale: float = 1.0) -> Tensor:
        x = F.max_pool2d(F.relu(x), 2) * scale
        return F.dropout(torch.flatten(x, 1), self.p, self.training)

    def forward(self, x: Tensor) -> Tensor:
        """Use most of what a forward usually does."""
        for layer in self.layers:
            x = layer(x)
        y: Tensor = relu(self.first(x))
        y += x
        if x.shape[0] > len(self.layers):
            x = self.features(x.view(x.size(0), -1, self.width))
        return self.second(y + self.kept)  # type: ignore[no-any-return]


class Nested(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.block = Convolutional()
        self.tail = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.block(x))  # type: ignore[no-any-return]


def test_classes_that_only_pass_tensors_on_compute_in_place() -> None:
    for kind in (Plain, Convolutional, Nested):
        assert not may_change_parameters(kind()), kind


class Odd(Tensor):
    """A tensor whose operations run code of the user's."""


class KeepsAnOddTensor(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.kept = torch.ones(4).as_subclass(Odd)


def doubled(x: Tensor) -> Tensor:
    return 2 * x


class NamesAParameter(Plain):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.first.weight
        weight *= 0.9
        return self.first(x)  # type: ignore[no-any-return]


class CallsAnyFunction(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return doubled(x)


class AsksByName(Plain):
    def forward(self, x: Tensor) -> Tensor:
        getattr(self.first, "weight").data.mul_(0.9)  # noqa: B009
        return self.first(x)  # type: ignore[no-any-return]


class Counts(Plain):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.first(x)  # type: ignore[no-any-return]


class Imports(Plain):
    def forward(self, x: Tensor) -> Tensor:
        import gc

        gc.collect()
        return x


class Matches(Plain):
    def forward(self, x: Tensor) -> Tensor:
        match self.first:
            case nn.Linear(weight=weight):
                weight *= 0.9
        return self.first(x)  # type: ignore[no-any-return]


class ReplacesALayer(Plain):
    def forward(self, x: Tensor) -> Tensor:
        self.layers[0] = self.second
        return x


class Halves(Plain):
    def forward(self, x: Tensor) -> Tensor:
        self.first.half()
        return x


class ChangesASetting(Plain):
    def forward(self, x: Tensor) -> Tensor:
        torch.set_num_threads(1)
        return x


class FromAGraph(Plain):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y.grad_fn.next_functions[0][0].variable.data.mul_(0.9)
        return y  # type: ignore[no-any-return]


class Decorated(Plain):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.first(x)  # type: ignore[no-any-return]


class WithAnAttributeOfItsOwn(Plain):
    def __getattr__(self, name: str) -> object:
        return super().__getattr__(name)


class WithAProperty(Plain):
    @property
    def head(self) -> nn.Module:
        return self.first


class ADefault(Plain):
    def forward(self, x: Tensor, scales: list[float] = [1.0]) -> Tensor:  # noqa: B006
        return x * scales[0]


class Closure(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return sum([self.first(x) for _ in range(2)], x)


class OwnParameters(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(4))])

    def forward(self, x: Tensor) -> Tensor:
        scale = self.scales[0]
        scale *= 0.9
        return x * scale


class NamedLikeAParameter(Plain):
    """Its child makes the name one of its own, under which another child has a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.reset_parameters = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.first.weight
        weight *= 0.9
        return x


class NamedLikeAMethod(NamedLikeAParameter):
    def forward(self, x: Tensor) -> Tensor:
        self.first.reset_parameters()
        return x


class KeepsAList(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.all = list(self.parameters())

    def forward(self, x: Tensor) -> Tensor:
        weight = self.all[0]
        weight *= 0.9
        return x


class OfAnotherKind(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


def test_any_other_class_computes_on_a_copy() -> None:
    kinds = [each for each in Plain.__subclasses__() if each not in (Convolutional, Nested)]
    for kind in (*kinds, NamedLikeAMethod):
        assert may_change_parameters(kind()), kind
    assert may_change_parameters(OfAnotherKind(4, 4))


def test_a_plain_class_with_hooks_or_given_functions_computes_on_a_copy() -> None:
    hooked, given, inner, renormed = Plain(), Plain(), Nested(), Plain()
    hooked.register_forward_pre_hook(lambda *_: None)
    given.forward = doubled  # type: ignore[method-assign, assignment]
    inner.block.first.weight.register_hook(lambda gradient: gradient)
    renormed.layers.append(nn.Embedding(3, 3, max_norm=1.0))
    for model in (hooked, given, inner, renormed):
        assert may_change_parameters(model)


def test_no_name_for_tensors_is_one_of_every_module() -> None:
    assert not OF_TORCH & set(dir(nn.Module()))
