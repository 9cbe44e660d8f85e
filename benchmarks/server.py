"""Gradients per second at the server, without any compute at the workers.

Each point is measured in three ways in one call, in turns, and the median counts:

- hybridmpi: its server, transport, core, and run file;
- hand-written: a blocking Send/Recv parameter server in a few lines of mpi4py;
- bound: the step's own kernel alone on rotating rows and versions, without MPI.

Peers that are named are measured in the same turns, by processes of their own (`peers`).

    python benchmarks/server.py --workers 4 --parameters 1200000 --peer ray --peer gloo
    python benchmarks/server.py --json > server.jsonl      # all points; some minutes
"""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from peers.client import MODULES, Peers
from peers.question import Answer
from under_mpirun import LIMIT_S, run_again

if TYPE_CHECKING:
    from hybridmpi.engines.mpi.ends import Transport
    from hybridmpi.engines.mpi.ranks import Ranks
    from hybridmpi.engines.server import Server
    from hybridmpi.learning.update import Update
    from hybridmpi.runlog.writer import RunWriter
    from hybridmpi.transport.messages import MessageServer

SIZES = (62_000, 1_200_000, 11_700_000)
WORKERS = (4, 25)
LEARNING_RATE = 1e-6
REPEATS = 5
ROUNDS = 4  # gradients of each worker in a run, at least: the first touch of memory is start-up


@dataclass(frozen=True)
class Point:
    """One line of the result."""

    benchmark: str
    transport: "Transport"
    workers: int
    parameters: int
    threshold: int
    gradients_per_s: float
    handwritten_per_s: float
    bound_per_s: float
    ratio_to_bound: float
    ratio_to_handwritten: float
    log_cost: float
    server_threads: int
    peers: dict[str, dict[str, float]]  # gradients_per_s, threshold, ratio, by name


@click.command(context_settings={"show_default": True})
@click.option("--workers", type=int, multiple=True, default=WORKERS, help="Number of workers.")
@click.option("--parameters", type=int, multiple=True, default=SIZES, help="float32 parameters.")
@click.option("--seconds", type=float, default=1.0, help="Length of one measurement.")
@click.option(
    "--transport", type=click.Choice(["shared", "messages", "collective"]), default="shared"
)
@click.option("--threads", type=int, help="Of the server.  [default: as in training]")
@click.option("--peer", "names", type=click.Choice(list(MODULES)), multiple=True, help="Compare.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines instead of a table.")
@click.option("--inside", is_flag=True, hidden=True)
def main(
    workers: tuple[int, ...],
    parameters: tuple[int, ...],
    seconds: float,
    transport: "Transport",
    threads: int | None,
    names: tuple[str, ...],
    as_json: bool,
    inside: bool,
) -> None:
    """Measure the server's throughput beside a hand-written server and the memory's bound."""
    if inside:
        measure_inside(parameters, seconds, transport, threads, names)
        return
    points = []
    for number in workers:
        for line in launch(number, parameters, seconds, transport, threads, names):
            points.append(json.loads(line))
            if as_json:
                print(line, flush=True)
    if not as_json:
        print_table(points)


def launch(
    workers: int,
    parameters: tuple[int, ...],
    seconds: float,
    transport: "Transport",
    threads: int | None,
    names: tuple[str, ...],
) -> list[str]:
    """Run all points of one number of workers under one mpirun; return its JSON lines."""
    sizes = [f"--parameters={size}" for size in parameters]
    options = ("--inside", f"--seconds={seconds}", f"--transport={transport}")
    more = [f"--peer={name}" for name in names]
    if threads is not None:
        more.append(f"--threads={threads}")
    return run_again(workers + 1, *options, *sizes, *more, limit_s=LIMIT_S * (1 + len(names)))


def measure_inside(
    parameters: tuple[int, ...],
    seconds: float,
    transport: "Transport",
    threads: int | None,
    names: tuple[str, ...],
) -> None:
    """Measure on all ranks of this world; rank 0 prints."""
    import torch
    from mpi4py import MPI

    from hybridmpi.engines.mpi.ranks import Ranks

    ranks = Ranks(MPI.COMM_WORLD)
    torch.set_num_threads(threads if threads and ranks.is_server else ranks.threads)
    peers = Peers(names if ranks.is_server else (), ranks.num_workers)
    for size, threshold in product(parameters, (1, ranks.num_workers)):
        point = measure(ranks, size, threshold, seconds, transport, peers)
        if point is not None:
            print(json.dumps(asdict(point)), flush=True)


def measure(
    ranks: "Ranks", size: int, threshold: int, seconds: float, transport: "Transport", peers: Peers
) -> Point | None:
    """Measure one point, the contenders in turns."""
    import torch

    bound = run_bound(ranks, size, threshold, seconds)
    count = ranks.comm.bcast(max(ROUNDS, int(bound * seconds / ranks.num_workers))) * (
        ranks.num_workers
    )
    warm_up = ranks.num_workers * 4
    run_handwritten(ranks, size, threshold, warm_up)
    run_hybridmpi(ranks, size, threshold, warm_up, transport)
    handwritten, ours, theirs = [], [], []
    for _ in range(REPEATS):
        theirs.append(peers.measure(size, threshold, seconds))
        handwritten.append(run_handwritten(ranks, size, threshold, count))
        ours.append(run_hybridmpi(ranks, size, threshold, count, transport))
    bound = median([bound, run_bound(ranks, size, threshold, seconds)])
    if not ranks.is_server:
        return None
    return Point(
        benchmark="server",
        transport=transport,
        workers=ranks.num_workers,
        parameters=size,
        threshold=threshold,
        gradients_per_s=median(ours),
        handwritten_per_s=median(handwritten),
        bound_per_s=bound,
        ratio_to_bound=median(ours) / bound,
        ratio_to_handwritten=median(a / b for a, b in zip(ours, handwritten, strict=True)),
        log_cost=log_s(size, threshold, per_second=median(ours)) * median(ours),
        server_threads=torch.get_num_threads(),
        peers=compare(ours, theirs),
    )


def compare(ours: list[float], theirs: list[dict[str, Answer]]) -> dict[str, dict[str, float]]:
    """Return the medians, and the ratios of ours to them, of each peer that took all turns."""
    return {
        name: {
            "gradients_per_s": median(turn[name].gradients_per_s for turn in theirs),
            "threshold": last.threshold,
            "ratio": median(
                rate / turn[name].gradients_per_s for rate, turn in zip(ours, theirs, strict=True)
            ),
        }
        for name, last in theirs[-1].items()
    }


def run_bound(ranks: "Ranks", size: int, threshold: int, seconds: float) -> float:
    """Return the gradients/s of the step alone: same kernel, rows and versions, no MPI."""
    import torch

    from hybridmpi.engines.mpi.agreement import barrier

    rate = 0.0
    if ranks.is_server:
        rows = torch.ones(ranks.num_workers + 1, size).zero_()  # adding up must not overflow
        versions = torch.ones(ranks.num_workers + 1, size)
        update = make_update(size)
        began_s, steps = time.perf_counter(), 0
        while (elapsed_s := time.perf_counter() - began_s) < seconds or steps < 3:
            for i in range(steps * threshold, (steps + 1) * threshold):
                update.accumulate(rows[i % len(rows)], 1.0, 1)
            source, target = (versions[(steps + i) % len(versions)] for i in (0, 1))
            update.step(source, target, 1 / threshold, LEARNING_RATE)
            steps += 1
        rate = steps * threshold / elapsed_s
    barrier(ranks.comm)
    return rate


def run_handwritten(ranks: "Ranks", size: int, threshold: int, count: int) -> float:
    """Return the gradients/s of a blocking server as one would write it by hand."""
    import torch
    from mpi4py import MPI

    from hybridmpi.engines.mpi.agreement import barrier

    comm, buffer, parameters = ranks.comm, torch.ones(size), torch.zeros(size)
    barrier(comm)
    began_s = time.perf_counter()
    if not ranks.is_server:
        for _ in range(count // ranks.num_workers):
            comm.Send(buffer.numpy(), 0)
            comm.Recv(parameters.numpy(), 0)
        barrier(comm)
        return 0.0
    status, total = MPI.Status(), torch.zeros(size)
    for _ in range(count // threshold):
        sources = []
        total.zero_()
        for _ in range(threshold):
            comm.Recv(buffer.numpy(), status=status)
            sources.append(status.source)
            if threshold > 1:
                total.add_(buffer)
        gradient = buffer if threshold == 1 else total
        parameters.add_(gradient, alpha=-LEARNING_RATE / threshold)
        for source in sources:
            comm.Send(parameters.numpy(), source)
    elapsed_s = time.perf_counter() - began_s
    barrier(comm)
    return count // threshold * threshold / elapsed_s


def run_hybridmpi(
    ranks: "Ranks",
    size: int,
    threshold: int,
    count: int,
    transport: "Transport",
    at_end: Callable[[], None] = lambda: None,
) -> float:
    """Return the gradients/s of hybridmpi's server, with its run file.

    `at_end` is called on the server when the last gradient has come and all memory is still held.
    """
    from hybridmpi.core.server import Limits
    from hybridmpi.engines.mpi.agreement import barrier
    from hybridmpi.engines.mpi.ends import server_end, worker_end
    from hybridmpi.engines.mpi.server import Loop
    from hybridmpi.engines.mpi.worker import work
    from hybridmpi.learning.gradients import Gradient

    if not ranks.is_server:
        barrier(ranks.comm)
        worker = worker_end(ranks, size, transport, can_be_cancelled=False)
        worker.gradient.fill_(1.0)
        done = Gradient(loss=1.0, samples=1)
        work(worker, ranks.comm.rank, lambda *_: done, None)
        worker.close()
        barrier(ranks.comm)
        ranks.memory.free()
        return 0.0
    with tempfile.TemporaryDirectory() as folder:
        barrier(ranks.comm)
        end = server_end(ranks, size, transport)
        server = make_server(ranks, end, size, threshold, count, Path(folder))
        Loop(
            server,
            end,
            limits=Limits(gradients=count),
            patience=ranks.patience(),
            straggler_limit_s=30,
        ).serve()
        at_end()
        end.close()
        barrier(ranks.comm)
        ranks.memory.free()
    return count / server.end_s


def make_update(size: int) -> "Update":
    """Return plain SGD on a flat vector."""
    from hybridmpi.learning.flat import Layout, LayoutEntry
    from hybridmpi.learning.optimizer import ServerOptimizer
    from hybridmpi.learning.update import Update

    entry = LayoutEntry("vector", (size,), 0, "float32", is_parameter=True)
    layout = Layout((entry,), size, size)
    return Update(layout, ServerOptimizer("sgd", layout, options={}))


def make_server(
    ranks: "Ranks",
    end: "MessageServer",
    size: int,
    threshold: int,
    count: int,
    folder: Path,
) -> "Server":
    """Return a server that stops after `count` gradients."""
    from hybridmpi.core.schedule import constant, over
    from hybridmpi.core.server import Limits, Method, ParameterServer
    from hybridmpi.engines.recorder import Recorder
    from hybridmpi.engines.server import Server
    from hybridmpi.engines.snapshots import SnapshotTaker

    method = Method(over("steps", constant(threshold)), over("steps", constant(LEARNING_RATE)))
    limits = Limits(gradients=count)
    end.next_parameters().zero_()
    return Server(
        ParameterServer(method, limits, range(1, ranks.num_workers + 1)),
        end,
        make_update(size),
        limits=limits,
        recorder=Recorder(make_writer(folder, size)),
        snapshots=SnapshotTaker(None, None),
        non_finite_limit=10,
    )


def make_writer(folder: Path, size: int) -> "RunWriter":
    """Return the writer of a real run file."""
    from hybridmpi.runlog.writer import RunWriter

    return RunWriter.create(
        folder / "run.h5", config={}, attributes={}, layout_json="{}", size=size, workers=[]
    )


def log_s(size: int, threshold: int, per_second: float) -> float:
    """Return the seconds that recording takes per gradient, flushed once a second of the run.

    Recording is timed by itself, on a real file and in processor time: what it adds to a whole run
    is less than two runs differ by.
    """
    from hybridmpi.core.messages import Instruction, Push, Release, Step
    from hybridmpi.engines.recorder import Recorder

    steps = max(1, int(per_second / threshold))
    weights, staleness = (1 / threshold,) * threshold, (0,) * threshold
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(make_writer(Path(folder), size))
        for second in range(REPEATS):
            recorded = []
            for version in range(second * steps, (second + 1) * steps):
                batches = range(version * threshold, (version + 1) * threshold)
                pushes = tuple(Push(1, batch, version, 0, 1.0, 32) for batch in batches)
                step = Step(version + 1, pushes, weights, staleness, threshold, LEARNING_RATE, 1.0)
                instructions: list[Instruction] = [step, Release((1,), version + 1)]
                recorded.append((pushes, step, instructions))
            began_s = time.process_time()
            for pushes, step, instructions in recorded:
                for push in pushes[:-1]:
                    recorder.push(push, 1.0, 0, [])
                recorder.push(pushes[-1], 1.0, 0, instructions)
                recorder.step(step, 1.0)
            recorder.flush()
            seconds.append(time.process_time() - began_s)
        recorder.close("complete")
    return median(seconds) / (steps * threshold)


def print_table(points: list[dict[str, Any]]) -> None:
    """Print the points for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Gradients per second at the server, no compute")
    for name in ("parameters", "workers", "K", "hybridmpi", "hand-written", "bound"):
        table.add_column(name, justify="right")
    for name in ("to bound", "to hand-written", "log's cost"):
        table.add_column(name, justify="right")
    names = sorted({name for point in points for name in point["peers"]})
    for name in names:
        table.add_column(f"to {name}", justify="right")
    for point in points:
        table.add_row(
            *(f"{point[key]:,.0f}" for key in ("parameters", "workers", "threshold")),
            *(f"{point[key]:,.0f}" for key in ("gradients_per_s", "handwritten_per_s")),
            f"{point['bound_per_s']:,.0f}",
            *(f"{point[key]:.2f}" for key in ("ratio_to_bound", "ratio_to_handwritten")),
            f"{100 * point['log_cost']:.1f} %",
            *(cell(point, name) for name in names),
        )
    console = Console(width=110 + 14 * len(names))
    console.print(table)
    if names:
        console.print("* the peer knows no threshold but the number of workers")


def cell(point: dict[str, Any], name: str) -> str:
    """Write the ratio to a peer."""
    peer = point["peers"].get(name)
    if peer is None:
        return "-"
    return f"{peer['ratio']:.2f}" + ("" if peer["threshold"] == point["threshold"] else "*")


if __name__ == "__main__":
    main()
