"""What the simulator costs beside the learning, and how fast the protocol is alone.

Processor time of one thread:

- learning: a simulated run against a bare torch loop that gathers the same batches, computes their
  gradients and takes as many steps, in turns, the least of several runs. On both sides the clock
  starts after the first gradient, so that start-up does not count (imports, loading, making the run
  file, first calls of kernels), and stops before evaluation. Recording counts, to its last flush.
- protocol: `simulate.learning = false`, pushes per second of a whole run, with the run file; and
  by how much more memory the second half of the run needed, at its highest, than the first.

    python benchmarks/simulate.py
"""

import json
import resource
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import click
import torch
from torch.nn.functional import cross_entropy

from hybridmpi import read_run
from hybridmpi.config import Job
from hybridmpi.config.load import parse_job
from hybridmpi.engines.learners import Learners
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.engines.status import Status
from hybridmpi.learning.flat import state_dict
from hybridmpi.learning.problems.images import build_model

WORKERS = 25
REPEATS = 5
IMAGES = {"samples": 5000, "shape": [3, 32, 32], "classes": 10}


@click.command(context_settings={"show_default": True})
@click.option("--gradients", type=int, default=500, help="Gradients of a run with learning.")
@click.option("--pushes", type=int, default=200_000, help="Pushes of a run without.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def main(gradients: int, pushes: int, as_json: bool) -> None:
    """Measure the simulator's overhead and the speed of its protocol."""
    results = [learning(preset, gradients) for preset in ("async", "sync")]
    results += [
        protocol(preset, workers, pushes)
        for workers in (WORKERS, 10_000)
        for preset in ("async", "hybrid", "sync")
    ]
    for result in results:
        print(json.dumps(result) if as_json else "  ".join(f"{k} {v}" for k, v in result.items()))


def job(preset: str, gradients: int, *, workers: int = WORKERS, **sections: Any) -> Job:
    """Return LeNet on synthetic images of CIFAR-10's size, batch 32."""
    growing = {"schedule": "step", "initial": 1, "increment": 1, "every": 100}
    method: dict[str, Any] = {"preset": preset}
    if preset == "hybrid":
        method["threshold"] = growing
    tree: dict[str, Any] = {
        "run": {"gradient_limit": gradients},
        "method": method,
        "data": {"dataset": "synthetic", "options": IMAGES},
        "model": {"name": "lenet"},
        "simulate": {"workers": workers, "jitter": {"distribution": "lognormal", "sigma": 0.3}},
    }
    tree["simulate"] |= sections
    return parse_job(tree, "benchmark")


def learning(preset: str, gradients: int) -> dict[str, str | float]:
    """Compare a simulated run with a bare loop."""
    given = job(preset, gradients)
    simulated, bare = [], []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(REPEATS):
            path = Path(folder) / f"{repeat}.h5"
            simulated.append(simulate(given, path))
            bare.append(bare_loop(given, path))
    return {
        "benchmark": "simulated learning",
        "preset": preset,
        "simulated_s": round(min(simulated), 3),
        "bare_s": round(min(bare), 3),
        "overhead": round(min(simulated) / min(bare) - 1, 4),
    }


def simulate(given: Job, path: Path) -> float:
    """Return the processor seconds of a simulated run from its first gradient to its evaluation."""
    began_s = ended_s = 0.0

    def report(status: Status) -> None:  # for the first time when the first push has been served
        nonlocal began_s, ended_s
        began_s = began_s or time.process_time()
        if status.phase == "evaluating":
            ended_s = ended_s or time.process_time()

    simulation = Simulation(given)
    assert simulation.learners is not None
    for worker in range(1, WORKERS + 1):
        simulation.learners.batches(worker)  # otherwise loaded when a worker is first heard of
    simulation.run(path, report=report)
    return ended_s - began_s


def bare_loop(given: Job, path: Path) -> float:
    """Return the processor seconds of a plain loop over a run's batches and steps, but the first.

    A step adds the gradients up at a learning rate divided by their number, so that the loop does
    without any work for their mean.
    """
    torch.set_num_threads(1)
    run = read_run(path)
    learners = Learners(given, given.simulate.workers)
    model = build_model("lenet", input_shape=(3, 32, 32), num_classes=10, seed=given.run.seed)
    model.load_state_dict(state_dict(learners.model.layout, learners.initial))
    learning_rate = given.optimizer.initial_learning_rate
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    batches = [learners.batches(w) for w in run.gradients.worker]
    numbers = run.gradients.batch.tolist()
    arrivals = zip(batches, numbers, strict=True)
    began_s = 0.0
    for count in run.steps.gradients:
        optimizer.zero_grad()
        optimizer.param_groups[0]["lr"] = learning_rate / count
        for of_worker, number in islice(arrivals, count):
            inputs, labels = of_worker.get(number)
            cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
            began_s = began_s or time.process_time()
        optimizer.step()
    return time.process_time() - began_s


def protocol(preset: str, workers: int, pushes: int) -> dict[str, str | float]:
    """Return the pushes per processor second of a run without learning."""
    simulation = Simulation(job(preset, pushes, workers=workers, learning=False))
    highest = [0, 0]  # in each half of the run

    def report(status: Status) -> None:
        half = status.gradients > pushes / 2
        highest[half] = max(highest[half], memory_bytes())

    with tempfile.TemporaryDirectory() as folder:
        began_s = time.process_time()
        simulation.run(Path(folder) / "run.h5", report=report)
        elapsed_s = time.process_time() - began_s
    return {
        "benchmark": "protocol alone",
        "preset": preset,
        "workers": workers,
        "pushes_per_s": round(pushes / elapsed_s),
        "memory_grown_mib": round((highest[1] - highest[0]) / 2**20, 1),
    }


def memory_bytes() -> int:
    """Return the memory of this process that is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
