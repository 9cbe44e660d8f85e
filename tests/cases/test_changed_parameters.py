"""What a model does to its parameters is its own, for the batch at hand."""

from pathlib import Path

import pytest
import torch
from nets_that_change import CHANGES, CLASSES, FEATURES, Changing, Renormed, late
from torch import Tensor, nn
from torch.nn import functional

from hybridmpi import read_run
from hybridmpi.config.load import parse_job
from hybridmpi.engines.replay import replay
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.errors import RunFailed
from hybridmpi.learning.evaluation import evaluate
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.gradients import GradientComputer
from hybridmpi.learning.problems.images import classification, cross_entropy, image_samples

SHAPE = (1, 1, FEATURES)
PROBLEM = classification("changes", SHAPE, CLASSES)


class FixedBatches:
    def get(self, n: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(n)
        inputs = 5 * torch.randn(6, *SHAPE, generator=generator)
        return inputs, torch.randint(CLASSES, (6,), generator=generator)


def models() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    changing: dict[str, nn.Module] = {name: Changing(change) for name, change in CHANGES.items()}
    return changing | {"renormed": Renormed(), "late": late(SHAPE, CLASSES)}


@pytest.mark.parametrize("name", models())
def test_neither_training_nor_evaluation_writes_to_the_version_in_force(name: str) -> None:
    model = models()[name]
    parameters = 3 * flatten(model)
    before = parameters.clone()
    flat = FlatModel(model)
    computer = GradientComputer(flat, cross_entropy, seed=0)
    push = torch.zeros(flat.layout.size)
    for n in range(8):
        assert computer.compute(FixedBatches(), 1, n, parameters, push) is not None
        assert torch.equal(parameters, before)
    for _ in range(2):
        evaluate(flat, PROBLEM, parameters, image_samples(*FixedBatches().get(0)), batch_size=4)
        assert torch.equal(parameters, before)


@pytest.mark.parametrize("name", sorted(models().keys() - {"late"}))
def test_a_gradient_depends_on_the_version_and_the_batch_alone(name: str) -> None:
    flat = FlatModel(models()[name])
    parameters = 3 * flatten(flat.model)
    computer = GradientComputer(flat, cross_entropy, seed=0)

    def push(n: int) -> tuple[float, Tensor]:
        row = torch.full((flat.layout.size,), torch.nan)
        gradient = computer.compute(FixedBatches(), 1, n, parameters, row)
        assert gradient is not None
        return gradient.loss, row

    first = {n: push(n) for n in (0, 1, 2)}
    other = 2 * parameters
    computer.compute(FixedBatches(), 1, 3, other, torch.zeros(flat.layout.size))
    first_result = evaluate(
        flat, PROBLEM, parameters, image_samples(*FixedBatches().get(9)), batch_size=4
    )
    for n in (2, 0, 1):
        loss, row = push(n)
        assert loss == first[n][0]
        assert torch.equal(row, first[n][1])
    assert (
        evaluate(flat, PROBLEM, parameters, image_samples(*FixedBatches().get(9)), batch_size=4)
        == first_result
    )


@pytest.mark.parametrize("name", sorted(models().keys() - {"late"}))
def test_in_memory_of_the_workers_own_the_gradient_is_the_same_without_a_copy(name: str) -> None:
    pushes = []
    for may_write in (False, True):
        flat = FlatModel(models()[name])
        versions = [3 * flatten(flat.model), 2 * flatten(flat.model)]
        own, row = torch.empty(flat.layout.size), torch.empty(flat.layout.size)
        computer = GradientComputer(flat, cross_entropy, seed=0)
        for n in range(4):
            own.copy_(versions[n % 2])  # as a message would
            computer.compute(FixedBatches(), 1, n, own, row, may_write=may_write)
            assert may_write or torch.equal(own, versions[n % 2])
            pushes.append(row.clone())
    assert all(torch.equal(*each) for each in zip(pushes[:4], pushes[4:], strict=True))


def test_the_gradient_is_that_at_the_changed_parameters() -> None:
    flat = FlatModel(models()["clamps"])
    parameters = 3 * flatten(flat.model)
    row = torch.zeros(flat.layout.size)
    found = GradientComputer(flat, cross_entropy, seed=0).compute(
        FixedBatches(), 1, 0, parameters, row
    )
    plain = Changing(lambda _: None)
    for key, view in flat.layout.views(parameters).items():
        if key != "kept":
            plain.get_parameter(key).data = view.clone()
    plain.hidden.weight.data.clamp_(-0.1, 0.1)
    inputs, labels = FixedBatches().get(0)
    loss = functional.cross_entropy(plain(inputs), labels)
    loss.backward()
    assert found is not None
    assert found.loss == loss.item()
    for key, view in flat.layout.views(row).items():
        if key != "kept":
            assert torch.equal(view, plain.get_parameter(key).grad)


def test_a_parameter_that_is_replaced_late_ends_the_run() -> None:
    def replaces(model: Changing) -> None:
        model.hidden.weight = nn.Parameter(model.hidden.weight.detach().clone())

    flat = FlatModel(Changing(replaces, begins_at=1))
    parameters, row = flatten(flat.model), torch.zeros(flat.layout.size)
    computer = GradientComputer(flat, cross_entropy, seed=0)
    computer.compute(FixedBatches(), 1, 0, parameters, row)
    with pytest.raises(RunFailed, match="another parameter in the place of its 'weight'"):
        computer.compute(FixedBatches(), 1, 1, parameters, row)


@pytest.mark.parametrize("model", ["renormed", "late"])
def test_a_simulated_run_is_replayed_bit_for_bit(tmp_path: Path, model: str) -> None:
    job = parse_job(
        {
            "run": {"gradient_limit": 60},
            "method": {"preset": "async"},
            "data": {"dataset": "data_as_given:words", "batch_size": 8},
            "model": {"name": f"nets_that_change:{model}"},
            "optimizer": {"learning_rate": 0.5},
            "simulate": {"workers": 3},
            "evaluation": {"every_steps": 20},
        },
        "test",
    )
    Simulation(job).run(tmp_path / "run.h5")
    run = read_run(tmp_path / "run.h5")
    if model == "late":  # one model computes for all workers, in the order of arrival
        assert run.status == "complete"
    verdict = replay(run, job)
    assert verdict.first_difference == ""
    assert verdict.gradients == 60
