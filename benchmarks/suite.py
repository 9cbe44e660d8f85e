"""All benchmarks by one command, and one Markdown page of their figures.

Each part's figures go to OUT/PART.jsonl as soon as it is done, and OUT/performance.md is written
anew from all that are there, so that one part can be measured again. With everything it takes some
four hours on 2 cores; nothing else should run there meanwhile.

    python benchmarks/suite.py --data DATA --out results
    python benchmarks/suite.py --data DATA --out results --only server --only scaling
"""

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from peers.client import MODULES

HERE = Path(__file__).parent
JOBS = HERE.parent / "jobs"
LIMIT_S = 4 * 3600.0  # for one part; each benchmark has shorter limits of its own

Line = Mapping[str, Any]
Cell = Callable[[Line], str]


@dataclass(frozen=True)
class Part:
    """One benchmark: its script and options, and its table's columns, or else all fields."""

    title: str
    script: str
    arguments: tuple[str, ...]
    brief: tuple[str, ...]  # options for a look at whether it runs
    columns: Mapping[str, Cell] | None = None


def number(field: str, form: str = ",.0f") -> Cell:
    """Return what writes a number."""
    return lambda line: format(line[field], form)


def numbers(field: str, form: str = ",.1f") -> Cell:
    """Return what writes a list of numbers; None is a target that was not reached."""
    return lambda line: ", ".join("-" if n is None else format(n, form) for n in line[field])


def anything(field: str) -> Cell:
    """Return what writes a field of any kind."""

    def written(value: object) -> str:
        if isinstance(value, list):
            return ", ".join(map(written, value))
        return f"{value:,.4g}" if isinstance(value, float) else str(value)

    return lambda line: written(line[field])


def peer(name: str) -> Cell:
    """Return what writes the ratio to a peer; a star marks another threshold than ours."""

    def cell(line: Line) -> str:
        answer = line["peers"].get(name)
        if answer is None:
            return "-"
        return f"{answer['ratio']:.2f}" + ("" if answer["threshold"] == line["threshold"] else "*")

    return cell


def seconds(method: str) -> Cell:
    """Return what writes a method's times to the target."""
    return lambda line: numbers(method)(line["seconds"])


def speedup(method: str) -> Cell:
    """Return what writes how much faster than DDP a method is."""

    def cell(line: Line) -> str:
        faster = line["speedup"][method]
        if faster is None:
            return "-"
        return ("" if line["ddp_reached"] else "≥ ") + f"{faster:.2f}"

    return cell


def accuracy(job: str, *targets: str) -> Part:
    """Return the part that compares times to targets on one data set."""
    arguments = (str(JOBS / f"{job}.toml"), "--data={data}", *(f"--target={t}" for t in targets))
    return Part(
        f"Seconds to a test accuracy, half of the workers delayed: {job}",
        "time_to_accuracy.py",
        arguments,
        ("--ranks=3", "--seconds=2", "--every=1", "--learning-rate=0.03", "--repeats=1"),
        {
            "target": number("target", ".2f"),
            "workers": number("workers"),
            "delays, s": numbers("delays_s", ".2f"),
            "delays, gradient times": numbers("delays_in_gradient_times", ".0f"),
            **{f"`{method}`, s": seconds(method) for method in ("hybrid", "async")},
            "DDP (gloo), s": seconds("ddp"),
            "learning rates": lambda line: ", ".join(f"{m} {r:g}" for m, r in line["best"].items()),
            **{f"DDP / `{m}`": speedup(m) for m in ("hybrid", "async")},
        },
    )


def training(job: str) -> Part:
    """Return the part that compares a job's training with independent loops."""
    return Part(
        f"Gradients per second while training, `async`, beside independent torch loops: {job}",
        "training.py",
        (str(JOBS / f"{job}.toml"), "--set=data.root={data}"),
        ("--ranks=3", "--seconds=1", "--repeats=1"),
        {
            "model": anything("model"),
            "workers": number("workers"),
            "hybridmpi": numbers("hybridmpi"),
            "loops": numbers("loops"),
            "ratio": number("ratio", ".3f"),
        },
    )


PARTS = {
    "server": Part(
        "Gradients per second at the server, no compute",
        "server.py",
        tuple(f"--peer={name}" for name in MODULES),
        ("--workers=2", "--parameters=62000", "--seconds=0.1"),
        {
            **{name: number(name) for name in ("parameters", "workers")},
            "K": number("threshold"),
            "transport": anything("transport"),
            "hybridmpi": number("gradients_per_s"),
            "step alone": number("bound_per_s"),
            "to step alone": number("ratio_to_bound", ".2f"),
            "to hand-written": number("ratio_to_handwritten", ".2f"),
            **{f"to {name}": peer(name) for name in MODULES},
        },
    ),
    "ulfm": Part(
        "The server with and without ULFM",
        "ulfm.py",
        (),
        ("--workers=2", "--parameters=62000", "--repeats=1"),
    ),
    "checkpoints": Part(
        "A checkpoint: the server's pauses, ms, beside one copy",
        "checkpoints.py",
        (),
        ("--parameters=100000", "--repeats=2"),
    ),
    "checkpoint-rate": Part(
        "Gradients per second with a checkpoint every 10 s, and without",
        "checkpoints.py",
        ("--job", str(JOBS / "mnist.toml"), "--set=data.root={data}", "--repeats=5"),
        ("--ranks=3", "--seconds=1", "--repeats=1"),
    ),
    "scaling": Part(
        "Scaling in parameters and workers, no compute",
        "scaling.py",
        (),
        ("--workers=2", "--parameters=100000", "--seconds=0.1"),
        {
            **{name: number(name) for name in ("parameters", "workers")},
            "K": number("threshold"),
            "hybridmpi": number("gradients_per_s", ",.1f"),
            "to step alone": number("ratio_to_bound", ".2f"),
            "memory plan, MiB": number("plan_mib", ",.1f"),
            "measured (PSS), MiB": number("pss_mib", ",.1f"),
        },
    ),
    "training-mnist": training("mnist"),
    "training-cifar10": training("cifar10"),
    "compute": Part("A worker's inner loop in other forms", "compute.py", (), ("--seconds=0.1",)),
    "accuracy-mnist": accuracy("mnist", "0.75", "0.95"),
    "accuracy-cifar10": accuracy("cifar10", "0.25", "0.4"),
    "startup": Part(
        "Start-up and memory, beside bare torch",
        "startup.py",
        (str(JOBS / "mnist.toml"), "--set=data.root={data}"),
        ("--ranks=3", "--repeats=1"),
    ),
    "simulate": Part(
        "Simulator: beside a bare loop, and alone",
        "simulate.py",
        (),
        ("--gradients=100", "--pushes=1000"),
    ),
    "calibrate": Part(
        "Simulator: a calibrated prediction",
        "calibrate.py",
        (str(JOBS / "mnist.toml"), "--set=data.root={data}"),
        ("--ranks=3", "--seconds=1"),
    ),
    "report": Part("Report on many long runs", "report.py", (), ("--runs=20", "--gradients=100")),
}


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data's folder.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the results."
)
@click.option("--only", type=click.Choice(list(PARTS)), multiple=True, help="Measure this part.")
@click.option("--brief", is_flag=True, help="Only see whether all runs; figures mean nothing.")
def main(data: Path, out: Path, only: tuple[str, ...], brief: bool) -> None:
    """Measure everything, and write it down."""
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in only or PARTS:
        if not measure(name, data, out, brief):
            failed.append(name)
        (out / "performance.md").write_text(page(out))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; what they said is above")


def measure(name: str, data: Path, out: Path, brief: bool) -> bool:
    """Run one part; say whether it succeeded."""
    part, began_s = PARTS[name], time.perf_counter()
    arguments = [argument.replace("{data}", str(data)) for argument in part.arguments]
    print(f"{name} ...", file=sys.stderr, flush=True)
    command = [sys.executable, str(HERE / part.script), *arguments, *(part.brief if brief else ())]
    done = subprocess.run(
        [*command, "--json"], stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode == 0:
        (out / f"{name}.jsonl").write_text(done.stdout)
    took_s = time.perf_counter() - began_s
    print(f"{name}: exit code {done.returncode}, {took_s:.0f} s", file=sys.stderr, flush=True)
    return done.returncode == 0


def page(out: Path) -> str:
    """Return the Markdown page of all results in a folder."""
    sections = [machine()]
    for name, part in PARTS.items():
        results = out / f"{name}.jsonl"
        if results.exists():
            lines = [json.loads(line) for line in results.read_text().splitlines()]
            tables = [table(columns, alike) for columns, alike in tables_of(part, lines)]
            sections += [f"## {part.title}", *tables]
    return "\n\n".join(sections) + "\n"


def tables_of(part: Part, lines: Sequence[Line]) -> Iterator[tuple[Mapping[str, Cell], list[Line]]]:
    """Yield the columns and lines of each table: lines with the same fields share one."""
    if part.columns is not None:
        yield part.columns, list(lines)
        return
    for fields, alike in groupby(lines, key=list):
        yield {field: anything(field) for field in fields if field != "benchmark"}, list(alike)


def machine() -> str:
    """Return what the figures were measured on."""
    from importlib.metadata import version

    from hybridmpi.launcher import find_library
    from hybridmpi.resources import usable_cores

    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "mpi4py"))
    return (
        f"{usable_cores()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"{versions}, {find_library()}. A star marks a peer that knows no K but the number of "
        "workers."
    )


def table(columns: Mapping[str, Cell], lines: Sequence[Line]) -> str:
    """Return a Markdown table, a row for each line of a benchmark."""
    rows = [list(columns), ["---:"] * len(columns)]
    rows += [[cell(line) for cell in columns.values()] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
