"""Data that a model changes in place, and buffers that are not finite."""

from pathlib import Path

import pytest
import torch
from data_as_given import words
from nets_that_misbehave import Causal, Linear, NormalisesInPlace

from hybridmpi import read_run
from hybridmpi.config.load import parse_job
from hybridmpi.engines.replay import replay
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.learning.batches import Batches
from hybridmpi.learning.evaluation import evaluate
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.gradients import GradientComputer
from hybridmpi.learning.optimizer import ServerOptimizer
from hybridmpi.learning.problems.images import classification, cross_entropy, image_samples
from hybridmpi.learning.update import Update


@pytest.mark.parametrize("kind", ["uint8", "float32", "uint8 as given", "float32 as given"])
def test_a_model_that_changes_its_inputs_does_not_change_the_data(kind: str) -> None:
    data_set = words(None)
    inputs, labels = data_set.train_inputs, data_set.train_labels
    if kind.startswith("uint8"):
        inputs = inputs.byte()
    normalised = None if kind.endswith("as given") else (0.5,)
    before = inputs.clone(), labels.clone()
    flat = FlatModel(NormalisesInPlace((1, 1, 12), 4))
    parameters, row = flatten(flat.model), torch.zeros(flat.layout.size)
    samples = image_samples(inputs, labels, mean=normalised, std=normalised)
    batches = Batches(samples, batch_size=8, seed=0, worker=1)
    GradientComputer(flat, cross_entropy, seed=0).compute(batches, 1, 0, parameters, row)
    first, second = (
        evaluate(flat, classification("changes", (1, 1, 12), 4), parameters, samples)
        for _ in range(2)
    )
    assert first == second
    assert torch.equal(inputs, before[0])
    assert torch.equal(labels, before[1])


def test_changing_a_batch_does_not_change_the_next_one() -> None:
    data_set = words(None)
    samples = image_samples(data_set.train_inputs, data_set.train_labels)
    batches = Batches(samples, batch_size=8, seed=0, worker=1)
    inputs, labels = batches.get(0)
    before = inputs.clone(), labels.clone()
    inputs.zero_()
    labels.zero_()
    again = batches.get(0)
    assert torch.equal(again[0], before[0])
    assert torch.equal(again[1], before[1])


def test_only_parameters_make_a_gradient_non_finite() -> None:
    flat = FlatModel(Causal((1, 1, 12), 4))
    parameters, row = flatten(flat.model), torch.zeros(flat.layout.size)
    data_set = words(None)
    samples = image_samples(data_set.train_inputs, data_set.train_labels)
    batches = Batches(samples, batch_size=8, seed=0, worker=1)
    computer = GradientComputer(flat, cross_entropy, seed=0)
    gradient = computer.compute(batches, 1, 0, parameters, row)
    assert gradient is not None
    assert gradient.is_finite
    parameters[0] = torch.nan
    gradient = computer.compute(batches, 1, 1, parameters, row)
    assert gradient is not None
    assert not gradient.is_finite


def test_buffers_that_workers_agree_on_stay_whatever_they_hold() -> None:
    flat = FlatModel(Causal((1, 1, 12), 4))
    layout, parameters = flat.layout, flatten(flat.model)
    update = Update(layout, ServerOptimizer("sgd", layout, options={}))
    for samples in (3, 8, 5):
        row = parameters.clone()
        row[: layout.num_parameters] = 0
        update.accumulate(row, 1.0, samples)
    target = torch.zeros(layout.size)
    update.step(parameters, target, 1 / 3, 0.1)
    assert target.numpy().tobytes() == parameters.numpy().tobytes()


def test_a_run_with_buffers_that_are_not_finite_learns_and_is_replayed(tmp_path: Path) -> None:
    job = parse_job(
        {
            "run": {"gradient_limit": 60, "non_finite_limit": 2},
            "method": {"preset": "async"},
            "data": {"dataset": "data_as_given:words", "batch_size": 8},
            "model": {"name": "nets_that_misbehave:Causal"},
            "simulate": {"workers": 3},
        },
        "test",
    )
    Simulation(job).run(tmp_path / "run.h5")
    run = read_run(tmp_path / "run.h5")
    assert run.status == "complete"
    assert run.events[run.events.kind == "non-finite"].empty
    views = FlatModel(Linear((1, 1, 12), 4)).layout
    final = torch.from_numpy(run.final)
    assert final[: views.num_parameters].isfinite().all()
    buffers = FlatModel(Causal((1, 1, 12), 4)).layout.views(final)
    assert torch.equal(buffers["mask"], torch.full((8, 8), -torch.inf).triu(1))
    assert buffers["unknown"].isnan().all()
    assert buffers["grows"].isinf()
    assert buffers["is_seen"].tolist() == [1, 0]
    assert buffers["calls"] >= 60 / 3
    verdict = replay(run, job)
    assert verdict.is_match
    assert verdict.largest_parameter_difference == 0
