import subprocess
import sys

import torch
from torch import Tensor, nn

from hybridmpi.learning.activations import ActivationBytes, activation_bytes
from hybridmpi.learning.evaluation import evaluation_batch_size
from hybridmpi.learning.flat import flatten
from hybridmpi.learning.problems.images import classification

FLOAT, LABEL = 4, 8


def tried(model: nn.Module, shape: tuple[int, int, int]) -> ActivationBytes:
    examples = (torch.zeros(1, *shape), torch.zeros(1, dtype=torch.int64))
    return activation_bytes(classification("tried", shape, 5), model, examples)


def wide() -> nn.Module:
    """Eight channels as large as the image."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 256, 5)
    )


def test_evaluation_counts_what_lives_at_the_same_time() -> None:
    found = tried(wide(), (1, 16, 16))
    assert found.evaluation == LABEL + FLOAT * (
        256 + 8 * 256 + 8 * 256
    )  # input, and both sides of ReLU


def test_training_keeps_more() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(100, 100), *[nn.Tanh() for _ in range(9)])
    model.append(nn.Linear(100, 5))
    found = tried(model, (1, 10, 10))
    assert found.evaluation == LABEL + FLOAT * 3 * 100
    assert found.training >= FLOAT * 10 * 100


def test_model_and_random_numbers_stay_as_they_were() -> None:
    class Counting(nn.Linear):
        calls = 0

        def forward(self, inputs: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(inputs)

    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Dropout(), Counting(16, 3))
    model[0].eval()
    before, state = flatten(model), torch.random.get_rng_state()
    tried(model, (1, 4, 4))
    assert torch.equal(flatten(model), before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model[3].calls == 0
    assert [module.training for module in model] == [False, True, True, True]


def test_nothing_is_said_of_a_model_that_cannot_be_tried_so() -> None:
    class Uncopied(nn.Linear):
        def __deepcopy__(self, memo: object) -> nn.Module:
            raise TypeError("this model is not to be copied")

    assert tried(Uncopied(4, 2), (1, 1, 4)) == ActivationBytes(0, 0)


def test_as_many_are_evaluated_at_a_time_as_fit_the_room() -> None:
    assert evaluation_batch_size(13_447_168) == 4  # a channel of 32 on 3 x 224 x 224
    assert evaluation_batch_size(1 << 30) == 1
    assert evaluation_batch_size(49_920) == evaluation_batch_size(0) == 200


def test_torch_does_not_import_its_compiler() -> None:
    code = """
import sys
import torch
from torch import nn
from hybridmpi.learning.activations import activation_bytes
from hybridmpi.learning.problems.images import classification

examples = (torch.zeros(1, 1, 2, 2), torch.zeros(1, dtype=torch.int64))
model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
assert activation_bytes(classification("tried", (1, 2, 2), 2), model, examples).training > 0
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
