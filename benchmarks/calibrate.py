"""Whether the simulator, calibrated on one MPI run, predicts others on the same machine.

One world of ranks trains the job by `hybrid`, once, and by `sync` and `async`, three times each, in
turns. The time model is fitted to the hybrid run; the jobs of the others are simulated with it, and
their gradients/s and steps/s compared with the measured ones. Asked is a prediction within 10 %, or
within twice the spread (largest minus smallest) of the three repeats.

    python benchmarks/calibrate.py jobs/mnist.toml --set data.root=DATA
"""

import json
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import click

from under_mpirun import run_again

if TYPE_CHECKING:
    from hybridmpi.runlog.run import Run

PREDICTED = ("sync", "async")
ORDER = ("sync-0", "async-0", "hybrid", "async-1", "sync-1", "sync-2", "async-2")
TOLERANCE = 0.1


@click.command(context_settings={"show_default": True})
@click.argument("job", type=click.Path(path_type=Path))
@click.option("--ranks", type=int, default=5, help="The server and its workers.")
@click.option("--seconds", type=float, default=20.0, help="Length of one run.")
@click.option("--set", "settings", multiple=True, help="Replace a field of the job.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@click.option("--inside", type=click.Path(path_type=Path), hidden=True)
def main(
    job: Path,
    ranks: int,
    seconds: float,
    settings: tuple[str, ...],
    as_json: bool,
    inside: Path | None,
) -> None:
    """Predict sync and async from a hybrid run whose threshold grows to the number of workers."""
    if inside is not None:
        train_inside(job, settings, ranks, seconds, inside)
        return
    with tempfile.TemporaryDirectory() as folder:
        run_again(ranks, *sys.argv[1:], "--inside", folder)
        for result in predictions(Path(folder)):
            print(
                json.dumps(result) if as_json else "  ".join(f"{k} {v}" for k, v in result.items())
            )


def train_inside(
    job: Path, settings: tuple[str, ...], ranks: int, seconds: float, folder: Path
) -> None:
    """Train all runs on all ranks of this world, one after the other."""
    from hybridmpi.config import load_job
    from hybridmpi.engines.mpi.train import train

    limits = ("run.gradient_limit=", "run.step_limit=", "run.epoch_limit=", "evaluation.every_s=")
    growing = f"{{schedule='linear', initial=1, slope={ranks / seconds}, unit='seconds'}}"
    for name in ORDER:
        preset = name.partition("-")[0]
        own = [f"method.preset={preset}", f"run.time_limit_s={seconds}"]
        if preset == "hybrid":
            own.append(f"method.threshold={growing}")
        train(load_job(job, [*settings, *limits, *own]), folder / f"{name}.h5")


def predictions(folder: Path) -> list[dict[str, object]]:
    """Compare what was measured with what the calibrated simulator says."""
    from hybridmpi import read_run
    from hybridmpi.config.load import parse_job
    from hybridmpi.engines.calibration import calibrate
    from hybridmpi.engines.calibration_check import simulate_like

    hybrid = read_run(folder / "hybrid.h5")
    calibration = calibrate(hybrid, parse_job(hybrid.config, "hybrid"))
    results: list[dict[str, object]] = []
    for preset in PREDICTED:
        runs = [read_run(folder / f"{preset}-{repeat}.h5") for repeat in range(3)]
        simulated = simulate_like(runs[0], parse_job(runs[0].config, preset), calibration)
        for what in ("gradients", "steps"):
            measured = [rate(run, what) for run in runs]
            off = rate(simulated, what) / mean(measured) - 1
            spread = (max(measured) - min(measured)) / mean(measured)
            results.append(
                {
                    "benchmark": "calibrate",
                    "predicted": f"{preset} {what}/s",
                    "measured": [round(value, 2) for value in measured],
                    "simulated": round(rate(simulated, what), 2),
                    "off_by": round(off, 3),
                    "allowed": round(max(TOLERANCE, 2 * spread), 3),
                    "within": abs(off) <= max(TOLERANCE, 2 * spread),
                }
            )
    return results


def rate(run: "Run", what: str) -> float:
    """Return gradients or steps per second."""
    return len(getattr(run, what)) / run.duration_s


if __name__ == "__main__":
    main()
