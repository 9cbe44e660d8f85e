"""Problems of the user's: batches, models and samples of any kind, and what is refused."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import own_problems
import pytest
import torch
from torch import nn

from hybridmpi import read_run
from hybridmpi.config import Job
from hybridmpi.engines.learners import Learners
from hybridmpi.engines.replay import replay
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.gradients import GradientComputer
from hybridmpi.runlog.run import Run

Simulate = Callable[..., Run]
JobOf = Callable[..., Job]
NAMES = ("bag", "constant", "dataset", "collated", "drawing")


@pytest.mark.parametrize("name", NAMES)
def test_run_is_replayed_bit_for_bit(simulate: Simulate, job_of: JobOf, name: str) -> None:
    run = simulate(f"own_problems:{name}")
    assert run.status == "complete"
    assert run.gradients.loss.notna().all()
    assert replay(run, job_of(f"own_problems:{name}")).is_match


def test_draws_of_samples_are_keyed_whatever_generator_they_use(simulate: Simulate) -> None:
    for generator in ("torch", "numpy"):
        first, again = (simulate("own_problems:dataset", {"generator": generator}) for _ in "ab")
        assert first.gradients.loss.tolist() == again.gradients.loss.tolist()
        other = simulate("own_problems:dataset", {"generator": generator}, run={"seed": 9})
        assert other.gradients.loss.tolist() != first.gradients.loss.tolist()


def test_gradient_is_that_of_a_plain_loop(job_of: JobOf) -> None:
    learners = Learners(job_of("own_problems:bag"), 3)
    row = torch.zeros_like(learners.initial)
    found = learners.compute(2, 3, learners.initial, row)
    torch.manual_seed(0)
    plain = own_problems.Bag()
    views = learners.model.layout.views(learners.initial)
    plain.load_state_dict(views, strict=False)
    plain.fixed.weight.data = learners.model.model.get_parameter("fixed.weight").data
    loss = own_problems.loss(plain, learners.batches(2).get(3))
    loss.backward()
    assert found.loss == loss.item()
    assert "fixed.weight" not in views
    assert list(views).count("mix.weight") == 1
    for key, view in learners.model.layout.views(row).items():
        if key != "batches":
            gradient = plain.get_parameter(key).grad
            assert gradient is not None
            torch.testing.assert_close(view, gradient.to_dense(), rtol=0, atol=0)


def test_frozen_parameters_are_neither_sent_nor_stepped(simulate: Simulate, job_of: JobOf) -> None:
    run = simulate("own_problems:bag", optimizer={"weight_decay": 0.5, "learning_rate": 0.5})
    names = [entry["name"] for entry in run.layout["entries"]]
    assert names == [
        *("sparse.weight", "mix.weight", "mix.bias", "norm.weight", "norm.bias"),
        *("out.weight", "out.bias", "batches"),
    ]
    learners = Learners(job_of("own_problems:bag"), 3)
    torch.manual_seed(1)
    before = learners.model.model.get_parameter("fixed.weight").clone()
    for batch in range(3):
        learners.compute(1, batch, learners.initial, torch.zeros_like(learners.initial))
    assert torch.equal(learners.model.model.get_parameter("fixed.weight"), before)


def test_groups_step_their_parameters_in_their_own_way(simulate: Simulate) -> None:
    groups = {
        "out.*": {"weight_decay": 0.0, "learning_rate_factor": 0.0},
        "*.bias": {"weight_decay": 0.0},
        "norm.*": {"weight_decay": 0.0},
    }
    sections: dict[str, Any] = {
        "run": {"gradient_limit": 1, "keep_snapshots": True},
        "simulate": {"workers": 1},
    }
    plain = simulate("own_problems:bag", optimizer={"learning_rate": 0.5}, **sections)
    run = simulate(
        "own_problems:bag",
        optimizer={"learning_rate": 0.5, "weight_decay": 0.1, "groups": groups},
        **sections,
    )
    layout = FlatModel(own_problems.Bag()).layout
    before, without, behind = (
        layout.views(torch.from_numpy(np.array(vector)))
        for vector in (run.snapshot(0), plain.final, run.final)
    )
    for name in ("out.weight", "out.bias"):
        assert torch.equal(behind[name], before[name])
    for name in ("mix.bias", "norm.weight", "norm.bias"):
        torch.testing.assert_close(behind[name], without[name])
    for name in ("mix.weight", "sparse.weight"):
        decayed = without[name] - 0.5 * 0.1 * before[name]
        torch.testing.assert_close(behind[name], decayed)


def test_memory_mapped_samples_are_learned_from(simulate: Simulate, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "inputs.npy", rng.random((50, 2), np.float32))
    np.save(tmp_path / "targets.npy", rng.random((50, 1), np.float32))
    for on in ("training", "test"):
        run = simulate(
            "own_problems:mapped",
            {"folder": str(tmp_path), "on": on},
            run={"gradient_limit": 4},
            data={"batch_size": 2, "validation": 0.2},
        )
        assert run.status == "complete"
        assert run.evaluations.test_loss.notna().all()


IN_LITTLE_MEMORY = """
import resource
resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))
import numpy as np
from pathlib import Path
from hybridmpi.config.load import parse_job
from hybridmpi.engines.simulate.simulate import Simulation
try:
    np.load("inputs.npy")
except MemoryError:
    options = {"folder": ".", "features": 1000}
    job = {
        "run": {"gradient_limit": 12},
        "method": {"preset": "async"},
        "problem": {"name": "own_problems:mapped", "options": options},
        "simulate": {"workers": 3},
    }
    Simulation(parse_job(job, "job")).run(Path("run.h5"))
"""


def test_samples_may_be_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    for name, width in (("inputs", 1000), ("targets", 1)):  # 3 GiB, which take no room on the disk
        path = tmp_path / f"{name}.npy"
        made = np.lib.format.open_memmap(path, "w+", np.float32, (800_000, width))
        made[:3] = 1
    done = subprocess.run(
        [sys.executable, "-c", IN_LITTLE_MEMORY],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert read_run(tmp_path / "run.h5").status == "complete"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "vector loss",
            "loss of a batch of 2 samples has shape [2, 1], but must be a scalar",
        ),
        ("loss of one", "has shape [1], but must be a scalar, the mean over the batch"),
        ("float loss", "whose loss is float, but must be a scalar tensor"),
        ("integer loss", "whose loss is torch.int64, but must be a floating-point number"),
        ("no graph", "whose loss in training doesn't depend on its parameters"),
        ("failing loss", "whose loss of a batch of shapes ([2, 2], [2, 1]) can't be computed in"),
        ("no loss", "whose loss is int, but must be a function of (model, batch)"),
        ("model made", "whose model is Linear, but must be a function of no arguments that makes"),
        ("no model", "but making its model returned int; return a torch.nn.Module"),
        ("one model", "returns the same parameters each time; make the model inside"),
        ("unseeded", "the initial values of 'bias' differ each time its model is made"),
        ("frozen", "all parameters of its model are frozen (requires_grad=False)"),
        ("renormed", "changes its frozen parameter 'embedding.weight' in its forward pass"),
        ("uneven", "training samples have leaves of shapes ([8, 2], [7, 1])"),
        ("list of samples", "For a list of samples give hybridmpi.DatasetSamples(list)"),
        ("iterable", "training samples are Stream, an iterable data set: it has no n-th sample"),
        ("generator", "are generator, an iterable data set"),
        ("nothing", "training samples are NoneType; give a tensor, a numpy array"),
        ("empty", "training samples are empty; give at least one sample"),
        ("words", "gave a batch that holds str, but may hold tensors only"),
        ("wrong collate", "gave a batch of 3 samples whose leaves have shapes [5]; the"),
        ("metric of a batch", "whose metric 'error' is of shape [] for a batch of 2 samples, but"),
        ("metric per output", "whose metric 'error' is of shape [2, 1] for a batch of 2 samples"),
        ("missing metric", "metric 'error' is missing in what its function returns, a dict of oth"),
        ("vector of a model", "whose metric 'norm' is Parameter of the model, but must be one"),
        ("no metric", "metric 'error' is function, but must be a hybridmpi.Metric"),
        ("metric's name", "a metric is named 'test_mean error', but a name must begin with"),
    ],
)
def test_fault_is_refused_before_training(job_of: JobOf, what: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        Learners(job_of("own_problems:faulty", {"what": what}, data={"batch_size": 1}), 2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("own_problems:bog", {}, "has no function 'bog'; did you mean 'bag'"),
        ("no_such_module:bag", {}, "no_such_module can't be found"),
        ("own_problems:not_a_problem", {}, "that is not a function but int"),
        ("own_problems:no_annotation", {}, "does not say that it returns a problem; annotate it"),
        ("own_problems:other", {}, "the function returned int; it must return a hybridmpi.Problem"),
        ("own_problems:raising", {}, "the function raised KeyError: 'no such file'; it was called"),
        ("own_problems:bag", {"model": 3}, "whose model is int, but must be a function"),
        ("own_problems:constant", {"a": 1}, "which is a problem and no function, so that it takes"),
        ("quadratik", {}, "'quadratik', but must be images, language"),
        ("quadratic", {"dimensions": 3}, "has no option 'dimensions'; did you mean 'dimension'"),
    ],
)
def test_unusable_name_is_refused(
    job_of: JobOf, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        Learners(job_of(name, options), 2)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {"dataset": "digits"}}, "samples and model, but data.dataset is given, for im"),
        (
            {"data": {"normalize": True}, "model": {"name": "lenet"}},
            "data.normalize and model.name",
        ),
        ({"problem": {"name": "images", "options": {"a": 1}}}, "problem.options go with"),
        ({"simulate": {"slowness": "1 + sqrt(j)"}}, "which names 'j'; it must be made of i"),
        ({"simulate": {"slowness": "2 - i"}}, "which is 0 for worker 2"),
        ({"simulate": {"slowness": "().__class__"}}, "which holds Attribute"),
        ({"optimizer": {"groups": {"*": {"lr": 1}}}}, "unknown field"),
    ],
)
def test_job_that_contradicts_itself_is_refused(
    job_of: JobOf, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        job_of("own_problems:bag", **sections)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"groups": {"nothing.*": {}}}, "groups.'nothing.*' is for no parameter: none that is"),
        ({"groups": {"*": {}, "out.*": {}}}, "all that it matches belong to a pattern before it"),
        ({"name": "rprop", "groups": {"*": {"weight_decay": 1.0}}}, "Rprop does not have; leave"),
    ],
)
def test_groups_that_cannot_be_are_refused(
    job_of: JobOf, optimizer: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        Learners(job_of("own_problems:bag", optimizer=optimizer), 2)


def test_shards_by_class_need_classes(job_of: JobOf) -> None:
    with pytest.raises(UserError, match=r"whose training samples have no classes; take 'stride'"):
        Learners(job_of("own_problems:bag", data={"shards": "dirichlet"}), 2)
    shards = {"shards": "dirichlet-equal", "concentration": 0.01}
    learners = Learners(job_of("logistic", {"samples": 400}, data=shards), 2)
    assert learners.shard_sizes == (200, 200)
    labels = [learners.batches(worker).get(0).labels.tolist() for worker in (1, 2)]
    assert [len(set(each)) for each in labels] == [1, 1]


def test_a_frozen_parameter_that_is_changed_late_ends_the_run() -> None:
    class Late(nn.Linear):
        calls = 0

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            if self.calls > 1:
                with torch.no_grad():
                    self.bias.add_(1)
            return super().forward(inputs)

    model = Late(2, 1)
    model.bias.requires_grad_(False)
    flat = FlatModel(model, own_problems.squared)
    parameters, row = flatten(model), torch.zeros(flat.layout.size)
    computer = GradientComputer(flat, own_problems.squared, seed=0)

    class Fixed:
        def get(self, _n: int) -> Any:
            return torch.ones(2, 2), torch.ones(2, 1)

    computer.compute(Fixed(), 1, 0, parameters, row)
    with pytest.raises(RunFailed, match="changes its frozen parameter 'bias'"):
        computer.compute(Fixed(), 1, 1, parameters, row)


def test_a_loss_of_the_users_may_change_parameters_for_its_batch_only() -> None:
    def clamps(model: nn.Module, batch: Any) -> torch.Tensor:
        model.weight.data.clamp_(-0.01, 0.01)  # type: ignore[union-attr]
        return own_problems.squared(model, batch)

    flat = FlatModel(nn.Linear(2, 1), clamps)
    assert flat.copies_parameters
    assert not FlatModel(nn.Linear(2, 1), own_problems.squared).copies_parameters
    parameters, row = torch.ones(3), torch.zeros(3)

    class Fixed:
        def get(self, _n: int) -> Any:
            return torch.ones(2, 2), torch.ones(2, 1)

    found = GradientComputer(flat, clamps, seed=0).compute(Fixed(), 1, 0, parameters, row)
    assert found is not None
    assert found.loss == pytest.approx(0.02**2, rel=1e-4)
    assert parameters.tolist() == [1, 1, 1]
    assert math.isfinite(row.sum())
