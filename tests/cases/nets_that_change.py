"""Models that change their own parameters, or what belongs to them, in a forward pass."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

FEATURES, CLASSES, WORDS = 12, 4, 30
CHANGES: dict[str, Callable[["Changing"], object]] = {}


def change(function: Callable[["Changing"], object]) -> Callable[["Changing"], object]:
    CHANGES[function.__name__] = function
    return function


class Changing(nn.Module):
    """A classifier of 1 x 1 x 12 inputs with a hidden layer, which `change` works on first."""

    def __init__(self, change: Callable[["Changing"], object], begins_at: int = 0) -> None:
        super().__init__()
        self.hidden = nn.Linear(FEATURES, 8)
        self.twin = nn.Linear(FEATURES, 8)
        self.output = nn.Linear(8, CLASSES)
        self.register_buffer("kept", torch.ones(8, FEATURES))
        self.change = change
        self.begins_at = begins_at
        self.calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        if self.calls >= self.begins_at:
            self.change(self)
        self.calls += 1
        flat = inputs.flatten(1)
        output: Tensor = self.output((self.hidden(flat) + self.twin(flat)).tanh())
        return output


@change
@torch.no_grad()
def clamps(model: Changing) -> None:
    model.hidden.weight.clamp_(-0.1, 0.1)


@change
def multiplies_data(model: Changing) -> None:
    model.hidden.weight.data.mul_(0.9)


@change
def writes_by_numpy(model: Changing) -> None:
    model.hidden.weight.detach().numpy()[:] *= 0.9


@change
def swaps_data(model: Changing) -> None:
    model.hidden.weight.data = model.hidden.weight.data * 0.9


@change
@torch.no_grad()
def sets(model: Changing) -> None:
    model.hidden.weight.set_(model.hidden.weight * 0.9)


@change
def ties_by_copy(model: Changing) -> None:
    model.twin.weight.data.copy_(model.hidden.weight.data)


@change
def ties_by_data(model: Changing) -> None:
    model.twin.weight.data = model.hidden.weight.data


@change
def keeps_a_view(model: Changing) -> None:
    if not hasattr(model, "view"):
        model.view = model.hidden.weight.data
    model.view.mul_(0.9)


@change
def divides_by_its_spectral_norm(model: Changing) -> None:
    model.hidden.weight.data /= torch.linalg.matrix_norm(model.hidden.weight.data, 2)


@change
def draws_again(model: Changing) -> None:
    nn.init.normal_(model.twin.bias)


@change
def makes_a_buffer_of_a_parameter(model: Changing) -> None:
    model.kept = model.hidden.weight.data
    model.kept.mul_(0.9)


@change
def points_a_buffer_at_a_parameter(model: Changing) -> None:
    model.kept.data = model.hidden.weight.data
    model.kept.mul_(0.9)


@change
def forgets_gradients(model: Changing) -> None:
    model.zero_grad()


@change
def freezes(model: Changing) -> None:
    model.twin.requires_grad_(False)


@change
def changes_a_setting(model: Changing) -> None:
    model.hidden.weight.data.mul_(0.9)
    torch.set_default_dtype(torch.float64)


class Renormed(nn.Module):
    """An embedding that renormalises the rows that it looks up."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 6, max_norm=0.5)
        self.output = nn.Linear(6, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.output(self.embed(inputs.flatten(1).abs().long()).mean(1))
        return output


def renormed(_shape: tuple[int, int, int], _classes: int) -> nn.Module:
    return Renormed()


def late(_shape: tuple[int, int, int], _classes: int) -> nn.Module:
    """Begins to change its parameters, in several ways, in its fifth forward pass."""

    def several(model: Changing) -> None:
        for name in ("clamps", "multiplies_data", "swaps_data", "ties_by_copy"):
            CHANGES[name](model)

    return Changing(several, begins_at=4)
