"""Gradients per second and memory against the number of parameters and of workers.

No compute, as in `server.py`: the server with its run file, beside the step's own kernel alone.
The memory plan of gradients, parameters and the last snapshot, which a run prints before it starts,
stands beside what the proportional set sizes (PSS) of all ranks together grew by.

    python benchmarks/scaling.py --workers 4 --parameters 1000000
    python benchmarks/scaling.py --json > scaling.jsonl      # all points; some minutes
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from itertools import product
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from server import ROUNDS, run_bound, run_hybridmpi
from under_mpirun import run_again

if TYPE_CHECKING:
    from hybridmpi.engines.mpi.ranks import Ranks

SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000)
WORKERS = (1, 2, 4, 8, 16, 25)
LARGEST = 800_000_000  # parameters times workers: 10^8 with 8
REPEATS = 3
MIB = 1 << 20


@dataclass(frozen=True)
class Point:
    """One line of the result."""

    benchmark: str
    parameters: int
    workers: int
    threshold: int
    gradients_per_s: float
    bound_per_s: float
    ratio_to_bound: float
    plan_mib: float
    pss_mib: float


@click.command(context_settings={"show_default": True})
@click.option("--workers", type=int, multiple=True, default=WORKERS, help="Number of workers.")
@click.option("--parameters", type=int, multiple=True, default=SIZES, help="float32 parameters.")
@click.option("--seconds", type=float, default=1.0, help="Length of one measurement.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines instead of a table.")
@click.option("--inside", is_flag=True, hidden=True)
def main(
    workers: tuple[int, ...],
    parameters: tuple[int, ...],
    seconds: float,
    as_json: bool,
    inside: bool,
) -> None:
    """Measure how the server scales."""
    if inside:
        measure_inside(parameters, seconds)
        return
    points = []
    for number in workers:
        sizes = [f"--parameters={size}" for size in parameters if size * number <= LARGEST]
        if not sizes:
            continue
        for line in run_again(number + 1, "--inside", f"--seconds={seconds}", *sizes):
            points.append(json.loads(line))
            if as_json:
                print(line, flush=True)
    if not as_json:
        print_table(points)


def measure_inside(parameters: tuple[int, ...], seconds: float) -> None:
    """Measure on all ranks of this world; rank 0 prints."""
    import torch
    from mpi4py import MPI

    from hybridmpi.engines.mpi.ranks import Ranks

    ranks = Ranks(MPI.COMM_WORLD)
    torch.set_num_threads(ranks.threads)
    for size, threshold in product(parameters, sorted({1, ranks.num_workers})):
        planned = planned_bytes(ranks, size)
        if ranks.comm.bcast(fits(planned, size, ranks.num_workers) if ranks.is_server else None):
            measure(ranks, size, threshold, seconds, planned)


def fits(planned: int, size: int, workers: int) -> bool:
    """Return whether there is memory for a point: the plan, and what the bound is measured on."""
    import psutil

    needed = planned + 2 * (workers + 1) * 4 * size
    available = psutil.virtual_memory().available
    if needed > available:
        print(
            f"{size:,} parameters with {workers} workers are left out: they need "
            f"{needed / MIB:,.0f} MiB, but {available / MIB:,.0f} MiB are available",
            file=sys.stderr,
            flush=True,
        )
    return bool(needed <= available)


def planned_bytes(ranks: "Ranks", size: int) -> int:
    """Return what a run would foretell of gradients, parameters and one snapshot, on all ranks."""
    from hybridmpi.engines.mpi.ends import num_vectors

    return int(1 + ranks.comm.allreduce(num_vectors(ranks, "shared"))) * 4 * size


def measure(ranks: "Ranks", size: int, threshold: int, seconds: float, planned: int) -> None:
    """Measure one point; rank 0 prints it."""
    workers, grown = ranks.num_workers, list[int]()
    pids = ranks.comm.allgather(os.getpid())
    rates, bounds = [], [run_bound(ranks, size, threshold, seconds)]
    count = workers * ranks.comm.bcast(max(ROUNDS, int(bounds[0] * seconds / workers)))
    run_hybridmpi(ranks, size, threshold, workers * ROUNDS, "shared")  # warms up
    for _ in range(REPEATS):
        before = pss_bytes(pids)
        rate = run_hybridmpi(
            ranks,
            size,
            threshold,
            count,
            "shared",
            at_end=lambda before=before: grown.append(  # type: ignore[misc]
                pss_bytes(pids) - before
            ),
        )
        rates.append(rate)
        bounds.append(run_bound(ranks, size, threshold, seconds))
    if not ranks.is_server:
        return
    point = Point(
        benchmark="scaling",
        parameters=size,
        workers=workers,
        threshold=threshold,
        gradients_per_s=median(rates),
        bound_per_s=median(bounds),
        ratio_to_bound=median(rates) / median(bounds),
        plan_mib=planned / MIB,
        pss_mib=max(grown) / MIB,
    )
    print(json.dumps(asdict(point)), flush=True)


def pss_bytes(pids: list[int]) -> int:
    """Return the PSS of these processes together, this one's without what it has freed (glibc)."""
    import ctypes

    import psutil

    ctypes.CDLL(None).malloc_trim(0)
    return sum(int(psutil.Process(pid).memory_full_info().pss) for pid in pids)


def print_table(points: list[dict[str, Any]]) -> None:
    """Print the points for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="How the server scales, no compute")
    for name in ("parameters", "workers", "K", "hybridmpi", "bound", "to bound"):
        table.add_column(name, justify="right")
    for name in ("memory plan", "measured"):
        table.add_column(f"{name}, MiB", justify="right")
    for point in points:
        table.add_row(
            *(f"{point[key]:,.0f}" for key in ("parameters", "workers", "threshold")),
            *(f"{point[key]:,.1f}" for key in ("gradients_per_s", "bound_per_s")),
            f"{point['ratio_to_bound']:.2f}",
            *(f"{point[key]:,.1f}" for key in ("plan_mib", "pss_mib")),
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
