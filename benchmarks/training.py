"""Gradients per second while training, beside as many independent torch loops.

On a machine with fewer cores than ranks, all that the parameter server, the messages and the
waiting cost is taken from the workers. The yardstick is one plain torch loop per worker, each with
an optimizer step of its own, on the same cores, in the same processes, in turns.

    python benchmarks/training.py jobs/mnist.toml --ranks 26 --set data.root=DATA
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

from under_mpirun import run_again

if TYPE_CHECKING:
    from hybridmpi.config import Job
    from hybridmpi.engines.mpi.ranks import Ranks
    from hybridmpi.engines.mpi.setup import Setup


@click.command(context_settings={"show_default": True})
@click.argument("job", type=click.Path(path_type=Path))
@click.option("--ranks", type=int, default=26, help="The server and its workers.")
@click.option("--preset", default="async", help="Method; has to be one without open fields.")
@click.option("--seconds", type=float, default=15.0, help="Length of one run.")
@click.option("--repeats", type=int, default=3, help="Runs of each kind.")
@click.option("--set", "settings", multiple=True, help="Replace a field of the job.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line.")
@click.option("--inside", is_flag=True, hidden=True)
def main(
    job: Path,
    ranks: int,
    preset: str,
    seconds: float,
    repeats: int,
    settings: tuple[str, ...],
    as_json: bool,
    inside: bool,
) -> None:
    """Compare training with independent torch loops; no delays, no evaluation in between."""
    from hybridmpi.config import load_job

    fixed = (f"method.preset={preset}", f"run.time_limit_s={seconds}", "delays.fraction=0")
    limits = ("run.gradient_limit=", "run.step_limit=", "run.epoch_limit=", "evaluation.every_s=")
    resolved = load_job(job, [*settings, *fixed, *limits])
    if inside:
        measure_inside(resolved, seconds, repeats)
        return
    result = json.loads(run_again(ranks, *sys.argv[1:], "--inside")[-1])
    if as_json:
        print(json.dumps(result))
        return
    for kind in ("hybridmpi", "loops"):
        print(f"{kind:>10}: " + ", ".join(f"{rate:,.1f}" for rate in result[kind]) + " gradients/s")
    print(f"{'ratio':>10}: {result['ratio']:.3f} (medians)")


def measure_inside(job: "Job", seconds: float, repeats: int) -> None:
    """Measure on all ranks of this world, the two kinds in turns; rank 0 prints."""
    import torch
    from mpi4py import MPI

    from hybridmpi.engines.mpi.ranks import Ranks
    from hybridmpi.engines.mpi.setup import Setup

    ranks = Ranks(MPI.COMM_WORLD)
    torch.set_num_threads(ranks.threads)
    setup = Setup(ranks, job)
    ours, loops = [], []
    for _ in range(repeats):
        loops.append(run_loops(ranks, setup, job, seconds))
        ours.append(run_hybridmpi(job))
    if ranks.is_server:
        ratio = median(ours) / median(loops)
        names = {"benchmark": "training", "model": job.model.name, "workers": ranks.num_workers}
        print(json.dumps({**names, "hybridmpi": ours, "loops": loops, "ratio": ratio}), flush=True)


def run_hybridmpi(job: "Job") -> float:
    """Return the gradients/s of a whole training run."""
    from hybridmpi import read_run
    from hybridmpi.engines.mpi.train import train

    with tempfile.TemporaryDirectory() as folder:
        outcome = train(job, Path(folder) / "run.h5")
        if outcome is None:
            return 0.0
        run = read_run(outcome.path)
        return len(run.gradients) / run.duration_s


def run_loops(ranks: "Ranks", setup: "Setup", job: "Job", seconds: float) -> float:
    """Return the gradients/s of one plain torch loop per worker, together."""
    import torch

    from hybridmpi.core.randomness import torch_seed
    from hybridmpi.engines.mpi.agreement import barrier

    batches = setup.share.batches
    torch.manual_seed(torch_seed(job.run.seed, "initial parameters"))
    model = setup.problem.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    barrier(ranks.comm)
    began_s, count = time.perf_counter(), 0
    while batches is not None and time.perf_counter() - began_s < seconds:
        optimizer.zero_grad()
        setup.problem.loss(model, batches.get(count)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        count += 1
    rate = count / (time.perf_counter() - began_s) if count else 0.0
    barrier(ranks.comm)
    total: float = ranks.comm.allreduce(rate)
    return total


if __name__ == "__main__":
    main()
