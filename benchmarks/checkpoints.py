"""What checkpoints cost: the server's pauses beside one copy of the parameters, and a run's rate.

The server copies parameters and optimizer state itself; a thread does the rest. A loop that takes a
push every 50 microseconds is watched until the file is on the disk: its longest pause tells whether
that thread holds it up. How long a checkpoint takes as a whole is told for the first one, which
writes the snapshots that wait for their evaluation, and for those that follow.

With a job, its gradients per second on all ranks, with checkpoints and without, in turns; medians
count. Many more checkpoints than anyone would ask for (`--every 0.5`) show what one costs where
repeats differ by more than it.

    python benchmarks/checkpoints.py --parameters 10000000 --snapshots 5
    python benchmarks/checkpoints.py --job jobs/mnist.toml --set data.root=DATA --every 0.5
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch

from hybridmpi.checkpoints.behind import WriterBehind
from hybridmpi.checkpoints.file import State
from hybridmpi.checkpoints.keeper import Keeper
from under_mpirun import run_again

_PUSH_EVERY_S = 50e-6
_COPIES = 20
_ALONE_S = 0.5


@click.command(context_settings={"show_default": True})
@click.option("--parameters", type=int, default=10_000_000, help="Elements of a vector.")
@click.option("--snapshots", type=int, default=5, help="Those that wait for their evaluation.")
@click.option("--repeats", type=int, default=7, help="Checkpoints.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where they go; a new one if not.")
@click.option("--job", type=click.Path(path_type=Path), help="Train this job by async, instead.")
@click.option("--ranks", type=int, default=5, help="The server and its workers.")
@click.option("--seconds", type=float, default=30.0, help="Length of one run.")
@click.option("--every", type=float, default=10.0, help="Seconds from one checkpoint to the next.")
@click.option("--set", "settings", multiple=True, help="Replace a field of the job.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line.")
@click.option("--inside", type=click.Path(path_type=Path), hidden=True)
def main(
    parameters: int,
    snapshots: int,
    repeats: int,
    folder: Path | None,
    job: Path | None,
    ranks: int,
    seconds: float,
    every: float,
    settings: tuple[str, ...],
    as_json: bool,
    inside: Path | None,
) -> None:
    """Compare the longest pause of a server that writes checkpoints with one copy."""
    if job is not None and inside is not None:
        train_inside(job, settings, seconds, every, repeats, inside)
        return
    with tempfile.TemporaryDirectory(dir=folder) as made:
        if job is None:
            result = measure(parameters, snapshots, repeats, Path(made))
        else:
            limit_s = 120 + 4 * repeats * seconds
            run_again(ranks, *sys.argv[1:], "--inside", made, limit_s=limit_s)
            result = rates(Path(made))
    print(json.dumps(result) if as_json else "\n".join(f"{k:>24} {v}" for k, v in result.items()))


def measure(size: int, num_snapshots: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Write checkpoints of an optimizer with momentum, and watch the loop meanwhile."""
    vector = torch.rand(size)
    taken = {f"snapshot.{version}": torch.rand(size) for version in range(num_snapshots)}
    copy_s = median(timed(vector.clone) for _ in range(_COPIES))
    behind = WriterBehind(Keeper(folder / "run.h5", every_s=None, every_steps=1, keep=2))
    end_s = time.perf_counter() + _ALONE_S
    alone_s = longest_pause_s(lambda: time.perf_counter() < end_s)
    own_s, pauses_s, written_s = [], [], []
    for repeat in range(repeats):
        began_s = time.perf_counter()
        copied = {"parameters": vector.clone(), "momentum": vector.clone()}
        behind.write(num_snapshots + repeat, State(copied | taken, {"engine": "benchmark"}))
        own_s.append(time.perf_counter() - began_s)
        pauses_s.append(longest_pause_s(lambda: not behind.is_due(10**9)))
        written_s.append(time.perf_counter() - began_s)
        behind.finish()
    began_s = time.process_time()
    behind.write(num_snapshots + repeats, State(copied | taken, {"engine": "benchmark"}))
    behind.finish()
    processor_s = time.process_time() - began_s
    return {
        "benchmark": "checkpoints",
        "parameters": size,
        "snapshots": num_snapshots,
        "one_copy_ms": milliseconds(copy_s),
        "own_copies_ms": milliseconds(median(own_s)),
        "longest_pause_ms": milliseconds(max(pauses_s[1:])),
        "pause_without_ms": milliseconds(alone_s),
        "pause_in_copies": round(max(pauses_s[1:]) / copy_s, 2),
        "first_written_s": round(written_s[0], 3),
        "others_written_s": round(median(written_s[1:]), 3),
        "processor_s": round(processor_s, 4),
    }


def train_inside(
    job: Path,
    settings: tuple[str, ...],
    seconds: float,
    every_s: float,
    repeats: int,
    folder: Path,
) -> None:
    """Train with and without checkpoints on all ranks of this world, in turns."""
    from hybridmpi.config import load_job
    from hybridmpi.engines.mpi.train import train

    limits = ("run.gradient_limit=", "run.step_limit=", "run.epoch_limit=", "evaluation.every_s=")
    own = ("method.preset=async", f"run.time_limit_s={seconds}")
    for repeat in range(repeats):
        for name, interval in (("with", f"{every_s}"), ("without", "")):
            asked = f"checkpoint.every_s={interval}"
            train(load_job(job, [*settings, *limits, *own, asked]), folder / f"{name}-{repeat}.h5")


def rates(folder: Path) -> dict[str, Any]:
    """Return gradients per second with and without checkpoints, and the medians' ratio."""
    from hybridmpi import read_run

    measured: dict[str, list[float]] = {}
    for name in ("with", "without"):
        runs = [read_run(path) for path in sorted(folder.glob(f"{name}-*.h5"))]
        measured[name] = [round(len(run.gradients) / run.duration_s, 2) for run in runs]
    ratio = median(measured["with"]) / median(measured["without"])
    return {"benchmark": "checkpoints", **measured, "ratio": round(ratio, 4)}


def longest_pause_s(goes_on: Callable[[], bool]) -> float:
    """Take pushes while something goes on, and return the longest time between two."""
    row, other = torch.rand(1000), torch.rand(1000)
    longest_s, last_s = 0.0, time.perf_counter()
    while goes_on():
        row.add_(other)
        now_s = time.perf_counter()
        longest_s, last_s = max(longest_s, now_s - last_s), now_s
        while time.perf_counter() - now_s < _PUSH_EVERY_S:
            pass
    return max(0.0, longest_s - _PUSH_EVERY_S)


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    began_s = time.perf_counter()
    action()
    return time.perf_counter() - began_s


def milliseconds(seconds: float) -> float:
    """Return milliseconds, rounded."""
    return round(1e3 * seconds, 2)


if __name__ == "__main__":
    main()
