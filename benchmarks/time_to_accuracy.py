"""Seconds to the same test accuracy with half of the workers delayed, beside DDP (gloo).

`hybrid`, `async` and DistributedDataParallel train the job's model on the same shards, batches and
delays, from the same initial parameters, on the same ranks. Each first tries every learning rate
once, with one seed; then it runs with other seeds at the rate that reached the first target first,
in turns with the others. Further targets are read off the same runs. Parameters are evaluated off
the clock, on one grid of times, so that a time to a target is late by less than an interval of the
grid, and never early.

The delays are given in gradient times: the seconds that a worker takes for a gradient while the
others are idle, as measured in the same call.

    python benchmarks/time_to_accuracy.py jobs/mnist.toml --data DATA --target 0.75 --target 0.95
    python benchmarks/time_to_accuracy.py jobs/cifar10.toml --data DATA --target 0.4
"""

import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from under_mpirun import run_again

if TYPE_CHECKING:
    from hybridmpi.config import Job
    from hybridmpi.engines.mpi.ranks import Ranks
    from hybridmpi.engines.mpi.setup import Setup

Values = NDArray[np.float64]
METHODS = ("hybrid", "async", "ddp")
LEARNING_RATES = (0.01, 0.03, 0.1, 0.3)
TIMED_GRADIENTS = 10
LONGEST_EVALUATION_S = 15.0  # of one snapshot
NOTHING = (np.empty(0), np.empty(0))


@dataclass(frozen=True)
class Curve:
    """What one run reached, and when."""

    method: str
    learning_rate: float
    seed: int
    seconds: dict[float, float]  # to each target; infinite if it was not reached
    final_accuracy: float


@click.command(context_settings={"show_default": True})
@click.argument("job", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data's folder.")
@click.option(
    "--target", "targets", type=float, multiple=True, required=True, help="Test accuracy, 0 to 1."
)
@click.option("--ranks", type=int, default=26, help="The server and its workers.")
@click.option("--seconds", type=float, default=60.0, help="Length of one run.")
@click.option("--every", "every_s", type=float, default=2.0, help="Seconds between evaluations.")
@click.option("--delays", type=(float, float), default=(25, 50), help="In gradient times.")
@click.option("--learning-rate", "rates", type=float, multiple=True, default=LEARNING_RATES)
@click.option("--repeats", type=int, default=3, help="Runs of each method at its best rate.")
@click.option("--set", "settings", multiple=True, help="Replace a field of the job.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line.")
@click.option("--inside", type=click.Path(path_type=Path), hidden=True)
def main(
    job: Path,
    data: Path,
    targets: tuple[float, ...],
    ranks: int,
    seconds: float,
    every_s: float,
    delays: tuple[float, float],
    rates: tuple[float, ...],
    repeats: int,
    settings: tuple[str, ...],
    as_json: bool,
    inside: Path | None,
) -> None:
    """Compare the times to a target."""
    fixed = (f"data.root={data}", f"run.time_limit_s={seconds}", f"evaluation.every_s={every_s}")
    limits = ("run.gradient_limit=", "run.step_limit=", "run.epoch_limit=")
    # A learning rate at which a method diverges is not the best one, and no reason to end.
    settings = (*settings, *fixed, *limits, f"run.non_finite_limit={sys.maxsize}")
    if inside is not None:
        compare_inside(Trainer(job, settings, inside), targets, delays, rates, repeats)
        return
    runs = len(METHODS) * (len(rates) + repeats)
    limit_s = runs * (60 + seconds + (2 + seconds / every_s) * LONGEST_EVALUATION_S)
    with tempfile.TemporaryDirectory() as folder:
        lines = run_again(ranks, *sys.argv[1:], "--inside", folder, limit_s=limit_s)
    for line in lines[-len(targets) :]:
        if as_json:
            print(line)
        else:
            print_result(json.loads(line))


def compare_inside(
    trainer: "Trainer",
    targets: tuple[float, ...],
    delays: tuple[float, float],
    rates: tuple[float, ...],
    repeats: int,
) -> None:
    """Tune and measure on all ranks of this world; rank 0 prints a line for each target."""
    gradient_s = trainer.set_delays(*delays)
    tuned = {m: best_rate([trainer.run(m, rate, 0, targets) for rate in rates]) for m in METHODS}
    best = trainer.ranks.comm.bcast(tuned)
    measured: dict[str, list[Curve]] = {method: [] for method in METHODS}
    for seed, method in product(range(1, repeats + 1), METHODS):
        curve = trainer.run(method, best[method], seed, targets)
        if curve is not None:
            measured[method].append(curve)
    if trainer.ranks.is_server:
        job = trainer.job("hybrid", best["hybrid"], 1)
        facts = {
            "workers": trainer.ranks.num_workers,
            "gradient_s": gradient_s,
            "delays_in_gradient_times": delays,
            "learning_rates": rates,
            "best": best,
        }
        for target in targets:
            line = facts_of(job) | facts | {"target": target} | outcome(measured, target, job)
            print(json.dumps(line), flush=True)


def facts_of(job: "Job") -> dict[str, Any]:
    """Return what the job says of the set-up."""
    return {
        "benchmark": "time to accuracy",
        "dataset": job.data.dataset,
        "model": job.model.name,
        "batch_size": job.data.batch_size,
        "limit_s": job.run.time_limit_s,
        "every_s": job.evaluation.every_s,
        "delays_s": [job.delays.min_s, job.delays.max_s],
    }


def outcome(measured: dict[str, list[Curve]], target: float, job: "Job") -> dict[str, Any]:
    """Return the times, and how much faster than DDP the presets are."""
    limit_s = job.run.time_limit_s
    assert limit_s is not None
    seconds = {m: [curve.seconds[target] for curve in curves] for m, curves in measured.items()}
    times = {method: median(values) for method, values in seconds.items()}
    return {
        "seconds": {m: [finite(value) for value in seconds[m]] for m in METHODS},
        "median_s": {m: finite(times[m]) for m in METHODS},
        "final_accuracy": {m: [curve.final_accuracy for curve in measured[m]] for m in METHODS},
        "speedup": {m: speedup(times["ddp"], times[m], limit_s) for m in METHODS if m != "ddp"},
        "ddp_reached": math.isfinite(times["ddp"]),
    }


class Trainer:
    """Runs one method after the other on all ranks of this world.

    Attributes:
        ranks: The world.
    """

    def __init__(self, path: Path, settings: tuple[str, ...], folder: Path) -> None:
        import torch
        from mpi4py import MPI

        from hybridmpi.engines.mpi.ranks import Ranks

        self.ranks = Ranks(MPI.COMM_WORLD)
        torch.set_num_threads(self.ranks.threads)
        self._path = path
        self._settings = settings
        self._folder = folder
        self._meetings = 0

    def job(self, method: str, rate: float, seed: int) -> "Job":
        """Return the job of one run; DDP's is that of the preset whose model and delays it has."""
        from hybridmpi.config import load_job

        own = (
            f"method.preset={'async' if method == 'async' else 'hybrid'}",
            f"optimizer.learning_rate={rate}",
            f"run.seed={seed}",
        )
        return load_job(self._path, [*self._settings, *own])

    def set_delays(self, shortest: float, longest: float) -> float:
        """Delay half of the workers by so many gradient times; return one, in seconds."""
        from hybridmpi.engines.mpi.setup import Setup

        setup = Setup(self.ranks, self.job("hybrid", LEARNING_RATES[0], 0))
        gradient_s: float = self.ranks.comm.bcast(time_gradient(self.ranks, setup), root=1)
        self._settings += (
            "delays.fraction=0.5",
            f"delays.min_s={shortest * gradient_s}",
            f"delays.max_s={longest * gradient_s}",
        )
        return gradient_s

    def run(self, method: str, rate: float, seed: int, targets: tuple[float, ...]) -> Curve | None:
        """Train once; return on rank 0 what came of it."""
        from hybridmpi.experiments.time_to_target import first_time_at

        job = self.job(method, rate, seed)
        times_s, accuracies = (
            self._train_data_parallel(job, rate) if method == "ddp" else self._train(job)
        )
        if not self.ranks.is_server:
            return None
        reached_s = {
            target: first_time_at(times_s, accuracies, target, higher_is_better=True)
            for target in targets
        }
        final = float(accuracies[-1])
        reached = ", ".join(
            f"{target:g} after {time_s:g} s" for target, time_s in reached_s.items()
        )
        print(
            f"{method}, rate {rate:g}, seed {seed}: {reached}, {final:.3f} at the end",
            file=sys.stderr,
            flush=True,
        )
        return Curve(method, rate, seed, reached_s, final)

    def _train(self, job: "Job") -> tuple[Values, Values]:
        """Return times and accuracies, on rank 0."""
        from hybridmpi import read_run
        from hybridmpi.engines.mpi.train import train

        outcome = train(job, self._folder / "run.h5", force=True)
        if outcome is None:
            return NOTHING
        evaluations = read_run(outcome.path).evaluations
        return evaluations.time_s.to_numpy(), evaluations.test_accuracy.to_numpy()

    def _train_data_parallel(self, job: "Job", rate: float) -> tuple[Values, Values]:
        import torch

        from data_parallel import train_data_parallel
        from hybridmpi.engines.mpi.agreement import barrier
        from hybridmpi.engines.mpi.setup import Setup
        from hybridmpi.learning.evaluation import evaluate

        setup = Setup(self.ranks, job)
        self._meetings += 1
        meeting = self._folder / f"meeting-{self._meetings}"
        taken = train_data_parallel(self.ranks, setup, job, rate, meeting)
        accuracies = []
        if setup.share.evaluation is not None:
            torch.set_num_threads(self.ranks.cores)  # the other ranks are asleep
            _, held_out = setup.share.evaluation
            for snapshot in taken:
                found = evaluate(setup.model, setup.problem, snapshot.parameters, held_out)
                accuracies.append(found["accuracy"])
            torch.set_num_threads(self.ranks.threads)
        barrier(self.ranks.comm)
        return np.array([snapshot.time_s for snapshot in taken]), np.array(accuracies)


def time_gradient(ranks: "Ranks", setup: "Setup") -> float:
    """Return, on rank 1, the seconds of one gradient while the other ranks sleep."""
    import torch

    from hybridmpi.engines.mpi.agreement import barrier
    from hybridmpi.learning.gradients import GradientComputer

    seconds = []
    if ranks.comm.rank == 1:
        assert setup.share.batches is not None
        computer = GradientComputer(setup.model, setup.problem.loss, seed=0)
        parameters, gradient = torch.zeros(2, setup.layout.size)
        for batch in range(TIMED_GRADIENTS):
            began_s = time.perf_counter()
            computer.compute(setup.share.batches, 1, batch, parameters, gradient)
            seconds.append(time.perf_counter() - began_s)
    barrier(ranks.comm)
    return median(seconds) if seconds else 0.0


def best_rate(curves: list[Curve | None]) -> float | None:
    """Return, on rank 0, the rate that reaches the targets first, or gets closest to them."""
    known = [curve for curve in curves if curve is not None]
    best = min(
        known,
        key=lambda curve: (*curve.seconds.values(), -curve.final_accuracy),
        default=None,
    )
    return best.learning_rate if best else None


def finite(seconds: float) -> float | None:
    """Return None for a target that was not reached, since JSON knows no infinity."""
    return seconds if math.isfinite(seconds) else None


def speedup(ddp_s: float, ours_s: float, limit_s: float) -> float | None:
    """Return how much faster we were: at least that, if DDP did not reach the target."""
    return min(ddp_s, limit_s) / ours_s if math.isfinite(ours_s) else None


def print_result(result: dict[str, Any]) -> None:
    """Print the result for people."""
    shortest, longest = result["delays_s"]
    times = "-".join(f"{delay:g}" for delay in result["delays_in_gradient_times"])
    print(
        f"{result['dataset']}, {result['model']}, {result['workers']} workers, half of them delayed"
        f" by {shortest:.2f} to {longest:.2f} s ({times} gradient times) per gradient; seconds to"
        f" {result['target']:g}:"
    )
    for method in METHODS:
        seconds = ", ".join("-" if s is None else f"{s:g}" for s in result["seconds"][method])
        print(f"{method:>10}: {seconds} (learning rate {result['best'][method]:g})")
    for method, faster in result["speedup"].items():
        least = "" if result["ddp_reached"] else "at least "
        print(f"{'ddp/' + method:>10}: " + ("-" if faster is None else f"{least}{faster:.2f}"))


if __name__ == "__main__":
    main()
