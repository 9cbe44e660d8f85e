"""Gradients per second of the server with and without ULFM (`mpirun --with-ft ulfm`), in turns.

Under ULFM a run survives the loss of a worker; `hybridmpi launch` turns it on where Open MPI has
it. What it costs is measured on the server without any compute, by `server.py`, where it can be the
most; the yardstick is the same without ULFM, and medians count.

    python benchmarks/ulfm.py --workers 4 --workers 25
"""

import json
import sys
from itertools import groupby
from pathlib import Path
from statistics import median

import click

from under_mpirun import run

SERVER = str(Path(__file__).with_name("server.py"))


@click.command(context_settings={"show_default": True})
@click.option("--workers", type=int, multiple=True, default=(4, 25), help="Number of workers.")
@click.option("--parameters", type=int, default=1_200_000, help="float32 parameters.")
@click.option("--transport", type=click.Choice(["shared", "messages"]), default="shared")
@click.option("--repeats", type=int, default=3, help="Runs of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def main(
    workers: tuple[int, ...], parameters: int, transport: str, repeats: int, as_json: bool
) -> None:
    """Compare the server's throughput with and without ULFM."""
    options = (SERVER, "--inside", f"--parameters={parameters}", f"--transport={transport}")
    for number in workers:
        rates: dict[tuple[int, bool], list[float]] = {}
        for _ in range(repeats):
            for survives in (True, False):
                for line in run(number + 1, "-m", "mpi4py", *options, survives_losses=survives):
                    point = json.loads(line)
                    key = point["threshold"], survives
                    rates.setdefault(key, []).append(point["gradients_per_s"])
        for threshold, _ in groupby(sorted(rates), key=lambda key: key[0]):
            with_ulfm = median(rates[threshold, True])
            without = median(rates[threshold, False])
            figures = {
                "benchmark": "ulfm",
                "transport": transport,
                "workers": number,
                "parameters": parameters,
                "threshold": threshold,
                "gradients_per_s": with_ulfm,
                "without_ulfm_per_s": without,
                "ratio": with_ulfm / without,
            }
            print(
                json.dumps(figures)
                if as_json
                else ", ".join(f"{k}: {v}" for k, v in figures.items()),
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
