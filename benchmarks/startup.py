"""Start-up and memory of the ranks of a run, beside bare torch on as many ranks.

Start-up is the time from mpirun's start until the last worker has its first release; the yardstick
is the time until `import torch` is done on the last of as many processes under the same mpirun. The
memory of a worker is its proportional set size (PSS: pages that several processes map are divided
among them) while it trains; the yardstick is a bare torch loop in as many processes, on the same
model and one random batch, with steps by hand: torch.optim alone takes another 100 MB. Both are
measured in turns, and the medians count.

    python benchmarks/startup.py jobs/mnist.toml --ranks 26 --set data.root=DATA
"""

import json
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from pss import MEASURED_GRADIENT, pss_mib
from under_mpirun import run

if TYPE_CHECKING:
    from hybridmpi.core.delays import Delays
    from hybridmpi.engines.mpi.worker import Computation
    from hybridmpi.transport.messages import MessageWorker

BARE_LOOP = str(Path(__file__).with_name("bare_loop.py"))
IMPORT_TORCH = "import torch, time; print('{\"at_s\": %f}' % time.time(), flush=True)"


@click.command(context_settings={"show_default": True})
@click.argument("job", type=click.Path(path_type=Path))
@click.option("--ranks", type=int, default=26, help="The server and its workers.")
@click.option("--repeats", type=int, default=3, help="Runs of each kind.")
@click.option("--set", "settings", multiple=True, help="Replace a field of the job.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line.")
@click.option("--inside", type=click.Choice(["network", "train"]), hidden=True)
def main(
    job: Path,
    ranks: int,
    repeats: int,
    settings: tuple[str, ...],
    as_json: bool,
    inside: str | None,
) -> None:
    """Compare start-up and memory with bare torch."""
    if inside == "network":
        print(network(job, settings))
    elif inside == "train":
        train_watched(job, settings)
    else:
        report(measure(job, ranks, repeats, settings), as_json)


def measure(job: Path, ranks: int, repeats: int, settings: tuple[str, ...]) -> dict[str, Any]:
    """Measure both in turns."""
    kinds = ("torch_startup_s", "startup_s", "loop_mib", "worker_mib")
    figures: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(repeats):
        figures["torch_startup_s"].append(time_of_last(ranks, "-c", IMPORT_TORCH)[0])
        with tempfile.TemporaryDirectory() as folder:
            options = [f"--set={setting}" for setting in (*settings, *fixed(ranks, folder))]
            script = (sys.argv[0], str(job), *options)
            said = subprocess.check_output([sys.executable, *script, "--inside=network"], text=True)
            lines = run(ranks, BARE_LOOP, said, folder, str(ranks))
            startup_s, memory = time_of_last(ranks, "-m", "mpi4py", *script, "--inside=train")
        figures["loop_mib"].append(median(json.loads(line)["mib"] for line in lines))
        figures["startup_s"].append(startup_s)
        figures["worker_mib"].append(median(memory))
    medians = {kind: median(values) for kind, values in figures.items()}
    ratios = {
        "startup_ratio": medians["startup_s"] / medians["torch_startup_s"],
        "memory_ratio": medians["worker_mib"] / medians["loop_mib"],
    }
    return {"benchmark": "startup", "ranks": ranks, **figures, **ratios}


def fixed(ranks: int, folder: str) -> tuple[str, ...]:
    """Return the settings of a short run in which all workers are at work at a time."""
    gradients = (ranks - 1) * (MEASURED_GRADIENT + 3)
    return (
        *("method.preset=sync", "method.threshold=", "delays.fraction=0", "evaluation.every_s="),
        *("run.time_limit_s=", "run.step_limit=", "run.epoch_limit=", "evaluation.every_steps="),
        *(f"run.gradient_limit={gradients}", f"run.output={folder}/run.h5"),
    )


def time_of_last(ranks: int, *arguments: str) -> tuple[float, list[float]]:
    """Return the seconds from mpirun's start to the last rank's time, and the ranks' memory."""
    began_s = time.time()
    said = [json.loads(line) for line in run(ranks, *arguments)]
    times_s = [line["at_s"] for line in said if "at_s" in line]
    return max(times_s) - began_s, [line["mib"] for line in said if "mib" in line]


def report(result: dict[str, Any], as_json: bool) -> None:
    """Print the figures."""
    if as_json:
        print(json.dumps(result))
        return
    for name in ("torch_startup_s", "startup_s", "loop_mib", "worker_mib"):
        print(f"{name:>16}: " + ", ".join(f"{figure:,.1f}" for figure in result[name]))
    for name in ("startup_ratio", "memory_ratio"):
        print(f"{name:>16}: {result[name]:.2f} (medians)")


def network(job: Path, settings: tuple[str, ...]) -> str:
    """Return, as JSON, what a bare loop must know of the job's model and data."""
    from hybridmpi.config import load_job
    from hybridmpi.engines.problem import source_of
    from hybridmpi.learning.models import ImageModel

    resolved = load_job(job, settings)
    model = source_of(resolved).make().model
    assert isinstance(model, ImageModel)
    return json.dumps(
        {
            "name": resolved.model.name,
            "input_shape": model.input_shape,
            "num_classes": model.num_classes,
            "batch_size": resolved.data.batch_size,
        }
    )


def train_watched(job: Path, settings: tuple[str, ...]) -> None:
    """Train as `hybridmpi train` does; each worker says when it begins, and its memory later."""
    from hybridmpi.cli import main as hybridmpi
    from hybridmpi.cli.quick_imports import quick_imports

    with quick_imports():  # as `hybridmpi train` does
        from hybridmpi.engines.mpi import train
        from hybridmpi.engines.mpi.worker import work

    def watched(
        end: "MessageWorker", worker: int, compute: "Computation", delays: "Delays | None"
    ) -> None:
        wait_release, releases = end.wait_release, count(1)

        def counted() -> int | None:
            version = wait_release()
            number = next(releases)
            if number == 1:
                print(json.dumps({"at_s": time.time()}), flush=True)
            elif number == MEASURED_GRADIENT:
                print(json.dumps({"mib": pss_mib()}), flush=True)
            return version

        end.wait_release = counted  # type: ignore[method-assign]
        work(end, worker, compute, delays)

    vars(train)["work"] = watched
    hybridmpi(["train", str(job), *(f"--set={setting}" for setting in settings)])


if __name__ == "__main__":
    main()
