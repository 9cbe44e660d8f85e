import pytest
import torch
from torch import nn

from hybridmpi.core.epoch import Epoch
from hybridmpi.errors import UserError
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.gradients import GradientComputer
from hybridmpi.learning.problems.images import classification, cross_entropy
from hybridmpi.learning.single_sample import check_single_sample

SHAPE = (1, 4, 4)
PROBLEM = classification("batch_norm", SHAPE, 3)
EXAMPLES = (torch.zeros(2, *SHAPE), torch.zeros(2, dtype=torch.int64))


def batch_norm() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.BatchNorm1d(3))


def test_refused_where_a_worker_would_have_such_a_batch() -> None:
    epochs = [Epoch(480, 32, "keep"), Epoch(481, 32, "keep")]
    with pytest.raises(UserError, match=r"last_batch = 'keep' leaves worker 2 one, of 481 samples"):
        check_single_sample(PROBLEM, batch_norm(), EXAMPLES, epochs)
    with pytest.raises(UserError, match=r"more than 1 value .* but data\.batch_size is 1;"):
        check_single_sample(PROBLEM, batch_norm(), EXAMPLES, [Epoch(10, 1)])


def test_taken_where_no_worker_has_one_or_the_model_takes_it() -> None:
    check_single_sample(PROBLEM, batch_norm(), EXAMPLES, [Epoch(481, 32), Epoch(482, 32, "keep")])
    check_single_sample(
        PROBLEM, nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), EXAMPLES, [Epoch(10, 1)]
    )


def test_trial_leaves_no_trace() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(16, 3))
    before, state = flatten(model), torch.random.get_rng_state()
    check_single_sample(PROBLEM, model, EXAMPLES, [Epoch(10, 1)])
    assert torch.equal(flatten(model), before)
    assert torch.equal(torch.random.get_rng_state(), state)


class OneSample:
    def get(self, _n: int, /) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(1, *SHAPE), torch.zeros(1, dtype=torch.int64)


def test_failure_in_training_names_the_field() -> None:
    flat = FlatModel(batch_norm())
    parameters, row = torch.zeros(flat.layout.size), torch.zeros(flat.layout.size)
    with pytest.raises(ValueError, match="more than 1 value") as raised:
        GradientComputer(flat, cross_entropy, seed=0).compute(OneSample(), 1, 0, parameters, row)
    assert "data.last_batch = 'spread' or 'drop'" in raised.value.__notes__[0]
