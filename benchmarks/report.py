"""How long `hybridmpi report` takes for many long runs, and how much memory.

Writes run files as of an experiment with 25 workers: 4 methods, 5 learning rates, 10 seeds, 20,000
gradients each, made up, and reports on them in a process of its own. Asked is less than 20 s and
less than 1 GiB for 200 files.

    python benchmarks/report.py
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice, product
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from hybridmpi.runlog.schema import GRADIENTS, STEPS
from hybridmpi.runlog.writer import RunWriter

THRESHOLDS = {"async": 1, "k-async": 5, "k-batch-async": 12, "sync": 25}
LEARNING_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
SIZE = 62_006  # parameters of LeNet
DURATION_S = 100.0
NUM_WORKERS = 25
NUM_EVALUATIONS = 51


@click.command(context_settings={"show_default": True})
@click.option("--runs", type=int, default=200, help="Number of run files.")
@click.option("--gradients", type=int, default=20_000, help="Gradients of each.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line.")
def main(runs: int, gradients: int, as_json: bool) -> None:
    """Time a report."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.h5" for number in range(runs)]
        world = product(range(-(-runs // 20)), LEARNING_RATES, THRESHOLDS)
        for path, (seed, rate, preset) in zip(paths, islice(world, runs), strict=True):
            write_run(path, preset, rate, seed, gradients)
        num_bytes = sum(path.stat().st_size for path in paths)
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "hybridmpi", "report", *paths, "--out", f"{folder}/report"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        result = {
            "benchmark": "report",
            "runs": runs,
            "gradients": gradients,
            "read_mib": round(num_bytes / 2**20),
            "seconds": round(time.perf_counter() - began, 2),
            "peak_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10),
            "cores": os.cpu_count(),
        }
    print(json.dumps(result) if as_json else "  ".join(f"{k} {v}" for k, v in result.items()))


def write_run(path: Path, preset: str, rate: float, seed: int, num_gradients: int) -> None:
    """Write the file of a made-up run, in which every gradient is part of a step."""
    threshold = THRESHOLDS[preset]
    entries = [{"name": "b", "shape": [10], "offset": SIZE - 10, "dtype": "float32"}]
    writer = RunWriter.create(
        path,
        config=job(preset, threshold, rate, seed),
        attributes={"engine": "simulate", "training_samples": 50_000},
        layout_json=json.dumps(
            {"num_parameters": SIZE, "size": SIZE, "entries": [entries[0] | {"is_parameter": True}]}
        ),
        size=SIZE,
        workers=[(i + 1, "host1", "virtual", 2000, i < 12) for i in range(NUM_WORKERS)],
    )
    rng = np.random.default_rng((seed, threshold))
    gradients = gradient_rows(rng, num_gradients, threshold)
    writer.append(GRADIENTS, gradients)
    writer.append(STEPS, step_rows(gradients, threshold, rate))
    for time_s in np.linspace(0, DURATION_S, NUM_EVALUATIONS):
        loss = 2.3 * np.exp(-rate * time_s) + rng.normal(0, 0.01)
        accuracy = 0.9 - 0.8 * np.exp(-rate * time_s) + rng.normal(0, 0.005)
        values = {"train_loss": loss, "test_loss": loss + 0.01, "test_accuracy": accuracy}
        writer.evaluation(time_s, int(time_s), time_s / 10, values)
    writer.final(np.zeros(SIZE, np.float32), num_gradients // threshold)
    writer.close("complete", duration_s=DURATION_S, bytes_sent=4 * SIZE * num_gradients)


def job(preset: str, threshold: int, rate: float, seed: int) -> dict[str, object]:
    """Return what a run file says of its job, as far as a report looks at it."""
    return {
        "run": {"seed": seed, "time_limit_s": DURATION_S},
        "method": {
            "preset": preset,
            "threshold": {"schedule": "constant", "value": threshold},
            "aggregation": "mean",
        },
        "data": {"dataset": "cifar10", "batch_size": 32},
        "model": {"name": "lenet"},
        "optimizer": {"name": "sgd", "learning_rate": rate},
        "delays": {"fraction": 0.5, "min_s": 0.0, "max_s": 0.1},
    }


def gradient_rows(rng: np.random.Generator, count: int, threshold: int) -> NDArray[np.void]:
    """Make up the gradients."""
    rows = np.zeros(count, GRADIENTS.dtype)
    rows["time_s"] = np.sort(rng.uniform(0, DURATION_S, count))
    rows["worker"] = rng.integers(1, NUM_WORKERS + 1, count)
    rows["staleness"] = rng.poisson(NUM_WORKERS / threshold, count)
    rows["accepted"], rows["samples"], rows["weight"] = True, 32, 1 / threshold
    rows["step"] = np.arange(count) // threshold + 1
    rows["loss"], rows["wait_s"] = rng.gamma(2, 1, count), rng.uniform(0, 0.05, count)
    rows["compute_s"] = 0.1
    return rows


def step_rows(gradients: NDArray[np.void], threshold: int, rate: float) -> NDArray[np.void]:
    """Make the steps of these gradients."""
    last = gradients[threshold - 1 :: threshold]
    rows = np.zeros(len(last), STEPS.dtype)
    rows["time_s"], rows["version"] = last["time_s"], np.arange(len(last)) + 1
    rows["threshold"] = rows["gradients"] = threshold
    rows["learning_rate"], rows["mean_staleness"] = rate, last["staleness"]
    rows["max_staleness"], rows["train_loss"] = last["staleness"], last["loss"]
    return rows


if __name__ == "__main__":
    main()
