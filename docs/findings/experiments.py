"""The experiments of jobs/paper: their plans, and making their runs."""

import os
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

from hybridmpi.config.experiment import load_experiment
from hybridmpi.config.load import read_tree
from hybridmpi.experiments.plan import Plan, plan

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "jobs" / "paper"
# The most important first: this is the order in which runs are made.
NAMES = (
    "significance",
    "significance-batch-delay",
    "cifar10",
    "ablation",
    "threshold_sensitivity",
    "delays",
    "cifar10-batch64",
    "mnist",
    "noniid",
    "network",
    "nonconvex",
    "long_run",
    "large",
    "mpi",
)
# Their times are this machine's, so they are made only when they are asked for by name.
IN_REAL_TIME = ("mpi",)


@cache
def planned(name: str) -> Plan:
    """Return the plan of an experiment."""
    experiment = load_experiment(JOBS / f"{name}.toml")
    return plan(experiment, read_tree(experiment.job))


def question(name: str) -> str:
    """Return the question at the head of an experiment's file."""
    return (JOBS / f"{name}.toml").read_text().splitlines()[0].removeprefix("# ")


def hypotheses(name: str) -> str:
    """Return what an experiment's file says, before its runs, that they will show."""
    head = (JOBS / f"{name}.toml").read_text().partition("\n\n")[0]
    paragraphs = head.replace("# ", "").split("\n#\n")
    return next(text for text in paragraphs if text.startswith("Hypothes"))


def make_runs(name: str, data: Path, out: Path, processes: int) -> bool:
    """Make the runs of an experiment that are missing, and its report in the same folder.

    Returns:
        Whether all runs are there.
    """
    folder = out / name
    share_runs(name, out)
    made = _hybridmpi(
        "compare",
        str(JOBS / f"{name}.toml"),
        f"--out={folder}",
        f"--set=data.root={data.resolve()}",
        f"--processes={processes}",
    )
    return made and _hybridmpi("report", str(folder))


def share_runs(name: str, out: Path) -> None:
    """Take over runs that another experiment has made: the same protocol gives the same bits.

    The hash at the end of a run file's name says what the run does; `compare` checks it again.
    """
    there = defaultdict(list)
    for path in sorted(out.glob("*/runs/*.h5")):
        there[_hash(path.name)].append(path)
    for run in planned(name).runs:
        target = out / name / run.file
        if not target.exists() and (sources := there[_hash(run.file)]):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(sources[0], target)


def _hash(file: str) -> str:
    return file.rpartition("-")[2]


def _hybridmpi(*arguments: str) -> bool:
    """Run a command in the project's folder, where `jobs.paper.models` is found."""
    line = [sys.executable, "-m", "hybridmpi", *arguments]
    code = subprocess.run(line, cwd=ROOT, check=False).returncode
    if code not in (0, 1):
        sys.exit(code)
    return code == 0
