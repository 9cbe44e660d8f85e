"""Torch has streams of the processor that do nothing: with them, the copies can be followed."""

import pytest
import torch
from torch import Tensor, nn

from hybridmpi.errors import UserError
from hybridmpi.learning.accelerator import Accelerator, choose_device
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.gradients import Gradient, GradientComputer
from hybridmpi.learning.problems.images import cross_entropy

PROCESSOR = torch.device("cpu")


class OneBatch:
    def get(self, n: int) -> tuple[Tensor, Tensor]:
        random = torch.Generator().manual_seed(n)
        return torch.randn(5, 3, generator=random), torch.tensor([0, 1, 0, 1, 1])


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def computed(accelerator: Accelerator | None, parameters: Tensor) -> tuple[Gradient | None, Tensor]:
    flat, push = FlatModel(model()), torch.full_like(parameters, 7.0)
    computer = GradientComputer(flat, cross_entropy, seed=0, accelerator=accelerator)
    return computer.compute(OneBatch(), 1, 3, parameters, push), push


def test_gradients_by_way_of_an_accelerator_are_the_same() -> None:
    parameters = flatten(model())
    kept = parameters.clone()
    expected, in_place = computed(None, parameters)
    there = Accelerator(PROCESSOR, len(parameters))
    gradient, fetched = computed(there, parameters)
    assert gradient == expected
    assert torch.equal(fetched, in_place)
    assert torch.equal(parameters, kept)
    there.close()


def test_nothing_is_fetched_of_a_cancelled_batch() -> None:
    parameters = flatten(model())
    there = Accelerator(PROCESSOR, len(parameters))
    computer = GradientComputer(FlatModel(model()), cross_entropy, seed=0, accelerator=there)
    push = torch.full_like(parameters, 7.0)
    assert computer.compute(OneBatch(), 1, 0, parameters, push, cancelled=lambda: True) is None
    assert (push == 7).all()


@pytest.mark.parametrize(
    ("gpus", "devices"), [(0, ["cpu"] * 3), (2, ["cuda:0", "cuda:1", "cuda:0"])]
)
def test_ranks_of_a_node_take_turns_with_its_gpus(
    gpus: int, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert [str(choose_device("auto", number)) for number in range(3)] == devices
    assert choose_device("cpu", 1) == PROCESSOR


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match="torch sees no GPU"):
        choose_device("cuda", 0)


def test_bfloat16_rounds_the_gradient_but_keeps_it_float32() -> None:
    parameters = flatten(model())
    pushes = []
    for precision in ("float32", "bfloat16"):
        computer = GradientComputer(FlatModel(model()), cross_entropy, seed=0, precision=precision)  # type: ignore[arg-type]
        pushes.append(torch.zeros_like(parameters))
        assert computer.compute(OneBatch(), 1, 0, parameters, pushes[-1]) is not None
    assert pushes[1].dtype == torch.float32
    assert not torch.equal(*pushes)
    torch.testing.assert_close(*pushes, rtol=0.1, atol=0.02)
