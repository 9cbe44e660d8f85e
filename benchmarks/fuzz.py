"""Hostile and damaged inputs, by the thousand: none may crash, hang, fill memory or execute.

Kinds: job files, schedules in --set, run files, checkpoints, data archives. Each input is a
function of the seed and its number, so that `--first 4711 --inputs 1` makes one again. It must be
read, or refused with one of our messages; all else is a finding, which is printed and kept in a
folder. Inputs are read in a process of its own with limited memory; if it dies of one, it is
started again behind that. Last, simulated runs are killed at random moments, and their run files
read.

    python benchmarks/fuzz.py --inputs 10000 --kills 200
"""

import importlib
import shutil
import sys
import time
from pathlib import Path

import click

from fuzzing.campaign import read_inputs, run_campaign
from fuzzing.kills import kill_runs

KINDS = {
    "job": "fuzzing.jobs:Jobs",
    "schedule": "fuzzing.jobs:Schedules",
    "run-file": "fuzzing.run_files:RunFiles",
    "checkpoint": "fuzzing.checkpoints:Checkpoints",
    "archive": "fuzzing.archives:Archives",
}


@click.command(context_settings={"show_default": True})
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), default=list(KINDS))
@click.option("--inputs", type=int, default=10_000, help="Inputs of each kind.")
@click.option("--first", type=int, default=0, help="Number of the first one.")
@click.option("--seed", type=int, default=0)
@click.option("--kills", type=int, default=0, help="Runs to be killed.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("fuzz-findings"))
def main(kinds: tuple[str, ...], inputs: int, first: int, seed: int, kills: int, out: Path) -> None:
    """Read inputs, and end with exit code 1 if anything was found."""
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    num_findings = 0
    for kind in kinds if inputs else ():
        began_s = time.monotonic()
        result = run_campaign(kind, seed, first, inputs, out, lambda text: print(text, flush=True))
        shutil.rmtree(out / f"{kind}-scratch", ignore_errors=True)
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in result.counts.most_common())
        print(f"{kind}: {counts}; {time.monotonic() - began_s:.0f} s", flush=True)
        num_findings += len(result.findings)
    if kills:
        problems = kill_runs(kills, seed, out)
        print(f"killed runs: {kills}, {len(problems)} of which left no readable file")
        print("\n".join(problems))
        num_findings += len(problems)
    sys.exit(num_findings > 0)


def read_inside(name: str, seed: int, first: int, end: int, scratch: Path) -> None:
    """Read inputs in this process."""
    module, _, kind = KINDS[name].partition(":")
    originals = scratch / "originals"
    originals.mkdir(parents=True, exist_ok=True)
    trace = repr(str(originals / "trace"))
    (scratch / "evil.py").write_text(f"import os; make = os.mkdir({trace})\n")
    made = getattr(importlib.import_module(module), kind)(originals)
    read_inputs(made, seed, name, first, end, scratch)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        name, seed, first, end, scratch = sys.argv[2:7]
        read_inside(name, int(seed), int(first), int(end), Path(scratch))
    main()
