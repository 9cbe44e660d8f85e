import pytest
import torch
from torch import Tensor, nn

from hybridmpi.learning.flat import Layout, LayoutEntry
from hybridmpi.learning.optimizer import ServerOptimizer
from hybridmpi.learning.update import _PART, NoUpdate, Update


def update_of(model: nn.Module) -> tuple[Update, Layout]:
    layout = Layout.of(model)
    return Update(layout, ServerOptimizer("sgd", layout, options={})), layout


def test_step_subtracts_the_scaled_sum_of_weighted_gradients() -> None:
    update, _ = update_of(nn.Linear(1, 1))
    source, target = torch.tensor([10.0, 20.0]), torch.empty(2)
    assert update.accumulate(torch.tensor([1.0, 2.0]), 0.5, 1)
    assert not update.accumulate(torch.tensor([4.0, 8.0]), 0.25, 1)
    update.step(source, target, 2.0, 0.1)
    assert target.tolist() == pytest.approx([9.7, 19.4])
    assert source.tolist() == [10, 20]


def test_gradients_add_up_in_the_order_of_arrival() -> None:
    # (1e8 - 1e8) + 1 is 1, while 1e8 + (-1e8 + 1) is 0 in float32.
    update, _ = update_of(nn.Linear(1, 1))
    for value in (1e8, -1e8, 1.0):
        update.accumulate(torch.full((2,), value), 1.0, 1)
    target = torch.empty(2)
    update.step(torch.zeros(2), target, 1.0, 1.0)
    assert target.tolist() == [-1, -1]


def test_every_step_begins_anew() -> None:
    update, _ = update_of(nn.Linear(1, 1))
    parameters = torch.zeros(2)
    for _ in range(2):
        assert update.accumulate(torch.ones(2), 1.0, 1)
        update.step(parameters, parameters, 1.0, 1.0)
    assert parameters.tolist() == [-2, -2]
    with pytest.raises(ValueError, match="no gradient to step with"):
        update.step(parameters, parameters, 1.0, 1.0)


def stepped(update: Update, layout: Layout, rows: list[Tensor], samples: list[int]) -> Tensor:
    for row, count in zip(rows, samples, strict=True):
        update.accumulate(row.clone(), count / samples[0], count)
    target = torch.full((layout.size,), -1.0)
    update.step(torch.zeros(layout.size), target, samples[0] / sum(samples), 1.0)
    return target


def test_buffers_are_averaged_by_samples_and_integers_rounded() -> None:
    update, layout = update_of(nn.BatchNorm1d(1))  # weight, bias; mean, variance, int64 counter
    rows = [torch.tensor([4.0, 4.0, 1.0, 2.0, 7.0]), torch.tensor([8.0, 8.0, 5.0, 6.0, 8.0])]
    for _ in range(2):
        expected = [-7, -7, 4, 5, 8]  # the counter: 7.75
        assert stepped(update, layout, rows, [1, 3]).tolist() == expected


def test_buffer_that_all_agree_on_stays_as_it_is() -> None:
    update, layout = update_of(nn.BatchNorm1d(100))
    row = torch.rand(layout.size, generator=torch.Generator().manual_seed(0))
    row[-1] = 16_777_215
    target = stepped(update, layout, [row] * 7, [32, 32, 31, 5, 32, 32, 1])
    assert torch.equal(target[layout.num_parameters :], row[layout.num_parameters :])


@pytest.mark.parametrize("size", [3, _PART - 1, 2 * _PART + 37])
@pytest.mark.parametrize("aggregated_by", ["sgd", "adam"])
def test_rows_that_add_up_together_give_the_bits_of_one_after_the_other(
    size: int, aggregated_by: str
) -> None:
    layout = Layout((LayoutEntry("vector", (size,), 0, "float32", is_parameter=True),), size, size)
    random = torch.Generator().manual_seed(size)
    rows = [torch.randn(size, generator=random) for _ in range(7)]
    weights = (0.75, 1.0, 0.3, 1.0, 1 / 3, 2.0, 0.1)

    expected = rows[0] * weights[0]
    for row, weight in zip(rows[1:], weights[1:], strict=True):
        expected.add_(row, alpha=weight)
    targets = []
    for folds in ([], [1], [0, 1, 2, 3, 4, 5, 6], [2, 5]):
        update = Update(layout, ServerOptimizer(aggregated_by, layout, options={}))
        own = [row.clone() for row in rows]
        for number, (row, weight) in enumerate(zip(own, weights, strict=True)):
            assert update.accumulate(row, weight, 1) == (number == 0)
            if number in folds:
                update.fold()
        targets.append(torch.empty(size))
        update.step(torch.ones(size), targets[-1], 0.5, 0.1)
        assert torch.equal(own[0], expected if aggregated_by == "sgd" else expected * 0.5)
    assert all(torch.equal(target, targets[0]) for target in targets)


def test_without_learning_a_step_leaves_vectors_alone() -> None:
    update, parameters, row = NoUpdate(), torch.zeros(2), torch.ones(2)
    update.accumulate(row, 0.5, 1)
    update.fold()
    update.step(parameters, parameters, 1.0, 1.0)
    assert (parameters.tolist(), row.tolist()) == ([0, 0], [1, 1])
