import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hybridmpi.core.randomness import torch_seed
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.gradients import Gradient, GradientComputer
from hybridmpi.learning.problems.images import build_model, cross_entropy


class FixedBatches:
    """Batch n of random images; the same n, the same batch."""

    def __init__(self, shape: tuple[int, int, int], samples: int) -> None:
        self._shape, self._samples = shape, samples

    def get(self, n: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(n)
        inputs = torch.randn(self._samples, *self._shape, generator=generator)
        return inputs, torch.randint(10, (self._samples,), generator=generator)


def plain_gradient(model: nn.Module, batch: tuple[Tensor, Tensor], *, to_none: bool) -> float:
    inputs, labels = batch
    model.train()
    model.zero_grad(set_to_none=to_none)
    loss = functional.cross_entropy(model(inputs), labels)
    loss.backward()
    return loss.item()


@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize(
    ("name", "shape", "samples"),
    [
        ("lenet", (3, 32, 32), 32),
        ("lenet", (1, 8, 8), 7),
        ("mnist_cnn", (1, 28, 28), 5),
        ("resnet18", (3, 32, 32), 3),
    ],
)
def test_bits_are_those_of_a_plain_loop(
    name: str, shape: tuple[int, int, int], samples: int, to_none: bool
) -> None:
    plain, ours = (build_model(name, input_shape=shape, num_classes=10, seed=1) for _ in range(2))
    flat = FlatModel(ours.eval())
    computer = GradientComputer(flat, cross_entropy, seed=1)
    batches = FixedBatches(shape, samples)
    # Rows of a buffer begin anywhere: not aligned as a tensor's own memory is.
    pushes = torch.full((2, flat.layout.size + 1), float("nan"))[:, 1:]
    for n in range(3):
        parameters = flatten(plain)
        loss = plain_gradient(plain, batches.get(n), to_none=to_none)
        push = pushes[n % 2]
        assert computer.compute(batches, 1, n, parameters, push) == Gradient(loss, samples)
        views = flat.layout.views(push)
        assert all(torch.equal(views[key], p.grad) for key, p in plain.named_parameters())
        assert torch.equal(
            push[flat.layout.num_parameters :], flatten(plain)[flat.layout.num_parameters :]
        )
        with torch.no_grad():
            for parameter in plain.parameters():
                parameter.sub_(0.01 * parameter.grad)


def test_running_statistics_move_in_the_push_only() -> None:
    flat = FlatModel(build_model("resnet18", input_shape=(3, 32, 32), num_classes=10, seed=0))
    parameters = flatten(flat.model)
    before = parameters.clone()
    push = torch.zeros(flat.layout.size)
    computer = GradientComputer(flat, cross_entropy, seed=0)
    computer.compute(FixedBatches((3, 32, 32), 2), 1, 0, parameters, push)
    assert torch.equal(parameters, before)
    views = flat.layout.views(push)
    assert views["bn1.num_batches_tracked"] == 1
    # running mean = 0.9 x 0 + 0.1 x the batch's mean
    inputs, _ = FixedBatches((3, 32, 32), 2).get(0)
    weight = flat.layout.views(parameters)["conv1.weight"]
    expected = 0.1 * functional.conv2d(inputs, weight, stride=2, padding=3).mean((0, 2, 3))
    torch.testing.assert_close(views["bn1.running_mean"], expected)


class OwnDropout(nn.Module):
    """Draws in a forward of its own: no module says so."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(functional.dropout(x.flatten(1), 0.5, self.training))


@pytest.mark.parametrize(
    "model",
    [OwnDropout(), nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))],
    ids=["functional", "module"],
)
def test_dropout_is_keyed_by_seed_worker_and_batch(model: nn.Module) -> None:
    flat = FlatModel(model)
    parameters = flatten(model)
    batches = FixedBatches((1, 8, 8), 4)

    def losses(seed: int, worker: int, numbers: list[int]) -> list[float]:
        computer = GradientComputer(flat, cross_entropy, seed=seed)
        push = torch.zeros(flat.layout.size)
        found = [computer.compute(batches, worker, n, parameters, push) for n in numbers]
        return [gradient.loss for gradient in found if gradient]

    assert losses(3, 1, [0, 1, 2]) == losses(3, 1, [2, 1, 0])[::-1]
    assert losses(3, 1, [0]) != losses(3, 2, [0])
    assert losses(3, 1, [0]) != losses(4, 1, [0])
    torch.manual_seed(torch_seed(3, "dropout", 1, 0))
    assert [plain_gradient(model, batches.get(0), to_none=True)] == losses(3, 1, [0])


def test_model_that_draws_nothing_leaves_the_generator_alone() -> None:
    flat = FlatModel(build_model("lenet", input_shape=(1, 8, 8), num_classes=10, seed=0))
    before = torch.get_rng_state()
    push = torch.zeros(flat.layout.size)
    GradientComputer(flat, cross_entropy, seed=0).compute(
        FixedBatches((1, 8, 8), 2), 1, 0, flatten(flat.model), push
    )
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("polls_before_stop", [0, 1])
def test_cancelled_batch_gives_nothing(polls_before_stop: int) -> None:
    flat = FlatModel(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    forwards: list[int] = []
    flat.model.register_forward_hook(lambda *_: forwards.append(1))
    answers = [False] * polls_before_stop + [True]
    push = torch.zeros(flat.layout.size)
    gradient = GradientComputer(flat, cross_entropy, seed=0).compute(
        FixedBatches((1, 8, 8), 2),
        1,
        0,
        flatten(flat.model),
        push,
        cancelled=lambda: answers.pop(0),
    )
    assert gradient is None
    assert len(forwards) == polls_before_stop
    assert not push.any()
    assert not answers
