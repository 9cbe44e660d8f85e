"""What the simulator costs beside the learning, and how fast the protocol is alone.

Processor time of one thread, the contenders in turns, the least of several runs:

- learning: a simulated run against a bare torch loop that gathers as many batches, computes their
  gradients and takes the same steps; evaluation and start-up excluded on both sides;
- protocol: `simulate.learning = false`, pushes per second.

    python benchmarks/simulate.py
"""

import json
import resource
import tempfile
import time
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
from hybridmpi.learning.flat import state_dict
from hybridmpi.learning.models import build_model

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
    """Return the processor seconds of a simulated run up to its evaluation."""
    simulation = Simulation(given)
    ended_s = 0.0

    def report(status: Any) -> None:
        nonlocal ended_s
        if status.phase == "evaluating" and not ended_s:
            ended_s = time.process_time()

    began_s = time.process_time()
    simulation.run(path, report=report)
    return (ended_s or time.process_time()) - began_s


def bare_loop(given: Job, path: Path) -> float:
    """Return the processor seconds of a plain loop over the same batches and steps."""
    torch.set_num_threads(1)
    run = read_run(path)
    learners = Learners(given, given.simulate.workers)
    model = build_model("lenet", input_shape=(3, 32, 32), num_classes=10, seed=given.run.seed)
    model.load_state_dict(state_dict(learners.model.layout, learners.initial))
    optimizer = torch.optim.SGD(model.parameters(), lr=given.optimizer.initial_learning_rate)
    batches = [learners.batches(w) for w in run.gradients.worker]
    numbers = run.gradients.batch.tolist()
    position = 0
    began_s = time.process_time()
    for count in run.steps.gradients:
        optimizer.zero_grad()
        for _ in range(count):
            inputs, labels = batches[position].get(numbers[position])
            loss = cross_entropy(model(inputs), labels) / count
            loss.backward()
            loss.item()
            position += 1
        optimizer.step()
    return time.process_time() - began_s


def protocol(preset: str, workers: int, pushes: int) -> dict[str, str | float]:
    """Return the pushes per processor second of a run without learning."""
    simulation = Simulation(job(preset, pushes, workers=workers, learning=False))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.process_time()
        simulation.run(Path(folder) / "run.h5")
        elapsed_s = time.process_time() - began_s
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "benchmark": "protocol alone",
        "preset": preset,
        "workers": workers,
        "pushes_per_s": round(pushes / elapsed_s),
        "memory_grown_mib": round((after - before) / 1024, 1),
    }


if __name__ == "__main__":
    main()
