"""The problems that ship: against what is worked out by hand, and replayed bit for bit."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hybridmpi import read_run
from hybridmpi.config import Job
from hybridmpi.core.metrics import CLASSIFICATION
from hybridmpi.engines.learners import Learners
from hybridmpi.engines.replay import replay
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.errors import UserError
from hybridmpi.learning.problems.images import classification
from hybridmpi.learning.problems.language import language
from hybridmpi.learning.problems.logistic import Logistic
from hybridmpi.learning.problems.quadratic import Point, quadratic, solve_tridiagonal
from hybridmpi.runlog.run import Run

Simulate = Callable[..., Run]
JobOf = Callable[..., Job]
SMALL: dict[str, dict[str, Any]] = {
    "language": {"characters": 4000, "context": 8, "width": 8, "heads": 2, "layers": 1},
    "logistic": {"samples": 200, "features": 5},
    "quadratic": {"dimension": 7},
    "regression": {"samples": 200, "targets": 2, "hidden": [8]},
}


@pytest.mark.parametrize("name", SMALL)
def test_run_is_replayed_and_learns(simulate: Simulate, job_of: JobOf, name: str) -> None:
    sections = {"run": {"gradient_limit": 200}, "optimizer": {"learning_rate": 0.05}}
    run = simulate(name, SMALL[name], **sections)
    assert replay(run, job_of(name, SMALL[name], **sections)).is_match
    assert run.evaluations.test_loss.iloc[-1] < run.evaluations.test_loss.iloc[0]
    assert run.config["problem"] == {"name": name, "options": SMALL[name]}
    assert "dataset" not in run.config["data"]


def test_quadratic_without_noise_is_the_iteration_worked_out_by_hand(simulate: Simulate) -> None:
    options = {"dimension": 3, "noise": 0, "start": [1.0, 2.0, 4.0]}
    sections = {
        "run": {"gradient_limit": 5},
        "optimizer": {"learning_rate": 0.5},
        "simulate": {"workers": 1},
        "evaluation": {"every_steps": 1},
    }
    run = simulate("quadratic", options, **sections)
    # A = [[2, -1, 0], [-1, 2, -1], [0, -1, 2]] / 4 and b = [-1, 0, 0] / 4, all exact in binary.
    matrix = np.array([[2, -1, 0], [-1, 2, -1], [0, -1, 2]]) / 4
    b, x = np.array([-0.25, 0, 0]), np.array([1.0, 2.0, 4.0])
    values = []
    for _ in range(6):
        values.append(x @ matrix @ x / 2 - b @ x)
        x = x - 0.5 * (matrix @ x - b)
    # the first step: x - (Ax - b) / 2 = [1, 2, 4] - [0.25, -0.25, 1.5] / 2
    assert run.gradients.loss.tolist() == values[:5]
    assert run.evaluations.train_loss.tolist() == pytest.approx(values)
    assert run.evaluations.suboptimality.to_numpy() == pytest.approx(
        np.array(values) + b @ np.linalg.solve(matrix, b) / 2
    )
    first = [0.875, 2.125, 3.25]
    assert quadratic(3, 0.0).loss(Point(torch.tensor(first)), torch.zeros(1)).item() == values[1]


def test_quadratics_noise_has_the_given_size_per_sample(job_of: JobOf) -> None:
    for batch_size in (1, 16):
        job = job_of("quadratic", {"noise": 0.5}, data={"batch_size": batch_size})
        learners = Learners(job, 2)
        rows = torch.zeros(2, 1729)
        for worker, row in enumerate(rows, start=1):
            learners.compute(worker, 0, learners.initial, row)
        exact = torch.zeros(1729)
        learners.model.model.eval()
        noiseless = Learners(job_of("quadratic", {"noise": 0}), 2)
        noiseless.compute(1, 0, learners.initial, exact)
        noise = rows - exact
        expected = 0.5 / math.sqrt(batch_size)
        assert noise.std(1).tolist() == pytest.approx([expected] * 2, rel=0.1)
        assert abs(float(torch.corrcoef(noise)[0, 1])) < 0.1


def test_optimum_of_the_quadratic() -> None:
    b = np.linspace(-1, 2, 9)
    matrix = 0.6 * np.eye(9) + 0.2 * (np.eye(9, k=1) + np.eye(9, k=-1))
    np.testing.assert_allclose(matrix @ solve_tridiagonal(0.6, 0.2, b), b, atol=1e-12)
    problem = quadratic(9, diagonal=0.6, off_diagonal=0.2, b=b.tolist())
    best = Point(torch.from_numpy(solve_tridiagonal(0.6, 0.2, b)).float())
    assert problem.metrics["suboptimality"].function(best) < 1e-12
    assert problem.metrics["gradient_norm"].function(best) < 1e-6


def test_six_thousand_workers_on_the_quadratic_with_times_that_grow(
    job_of: JobOf, tmp_path: Path
) -> None:
    job = job_of(
        "quadratic",
        {"dimension": 100},
        run={"gradient_limit": 7000},
        data={"batch_size": 1},
        optimizer={"learning_rate": 0.0002},
        simulate={
            "workers": 6174,
            "compute_fixed_s": 1.0,
            "compute_per_sample_s": 0.0,
            "slowness": "1 + sqrt(i)",
            "jitter": {"distribution": "constant"},
        },
    )
    simulation = Simulation(job)
    simulation.run(tmp_path / "run.h5")
    run = read_run(tmp_path / "run.h5")
    first = run.gradients[run.gradients.batch == 0]
    times = 1 + np.sqrt(first.worker.to_numpy())
    np.testing.assert_allclose(first.time_s, times, rtol=1e-8)
    assert len(simulation.versions) <= 6175
    assert run.evaluations.suboptimality.iloc[-1] < run.evaluations.suboptimality.iloc[0]


def test_logistic_optimum_has_no_gradient() -> None:
    made = Logistic(samples=300, features=4, l2=0.01, seed=1)
    model = made.model()
    assert made.suboptimality(model) > 0.01
    samples = made.training()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        loss = made.loss(model, samples.tensors)
        loss.backward()
        return loss.item()

    optimizer.step(closure)
    assert made.gradient_norm(model) < 1e-4
    assert 0 <= made.suboptimality(model) < 1e-6


def test_language_reads_a_file_and_knows_its_characters(tmp_path: Path) -> None:
    text = "".join(chr(0x4E00 + i % 300) if i % 7 else "é" for i in range(2000))
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    problem = language(str(tmp_path / "text.txt"), context=10, width=8, heads=1)
    training, test = problem.training(), problem.test()
    assert (len(training), len(test)) == (179, 20)
    batch = test.take(torch.arange(2))
    assert (batch.dtype, batch.shape) == (torch.uint8, (2, 11))
    model = problem.model()
    assert model.output.weight is model.tokens.weight
    assert model.tokens.weight.shape == (256, 8)
    loss = problem.loss(model, batch)
    measured = problem.metrics["loss"].function(model, batch)
    assert measured["loss"].mean().item() == pytest.approx(loss.item(), rel=1e-5)
    assert measured["perplexity"] is measured["loss"]


def test_a_transformer_sees_no_later_characters() -> None:
    model = language(None, 2000, context=8, width=8, heads=2).model().eval()
    tokens = torch.arange(8).unsqueeze(0)
    other = tokens.clone()
    other[0, 5:] = 1
    torch.testing.assert_close(model(tokens)[:, :5], model(other)[:, :5])
    assert not torch.allclose(model(tokens)[:, 5:], model(other)[:, 5:])


def test_metrics_are_described_in_run_files(simulate: Simulate) -> None:
    assert classification("lenet", (1, 8, 8), 10).described() == CLASSIFICATION
    run = simulate("language", SMALL["language"])
    names = ["test_perplexity", "test_accuracy", "test_loss", "train_loss"]
    assert [metric.name for metric in run.metrics] == names
    assert [metric.higher_is_better for metric in run.metrics] == [False, True, False, False]
    last = run.evaluations.iloc[-1]
    assert last.test_perplexity == pytest.approx(math.exp(last.test_loss))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("quadratic", {"dimension": 0}, "option dimension is 0, but must be a whole number of at"),
        ("quadratic", {"noise": -1}, "option noise is -1, but must be a finite number of at least"),
        ("quadratic", {"off_diagonal": 0.3}, "so that there is no minimum; raise option diagonal"),
        ("quadratic", {"b": [1.0] * 2000}, "must be a number, or a list of at most 1729 numbers"),
        ("quadratic", {"start": "zero"}, "option start is 'zero', but must be a number, or a list"),
        ("logistic", {"l2": 0}, "option l2 is 0, but must be a finite number of at least 1e-09"),
        ("regression", {"hidden": 3}, "option hidden is 3, but must be a list of widths"),
        ("language", {"width": 10}, "option width is 10, but must be a multiple of heads (4)"),
        ("language", {"file": "/nowhere.txt"}, "/nowhere.txt cannot be read"),
        ("language", {"characters": 100}, "has 100 characters, but pieces of context = 64 need at"),
    ],
)
def test_unfit_option_is_refused(
    job_of: JobOf, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        Learners(job_of(name, options), 2)
