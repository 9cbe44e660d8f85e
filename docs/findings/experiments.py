"""The experiments of jobs/paper: their plans, and making their runs."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from hybridmpi.config.experiment import load_experiment
from hybridmpi.config.load import read_tree
from hybridmpi.errors import UserError
from hybridmpi.experiments.folder import form_in
from hybridmpi.experiments.plan import Plan, plan
from hybridmpi.experiments.protocol import digest
from hybridmpi.runlog.attributes import read_attributes

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

    What a run does is read from its file, since another version may have named it otherwise;
    `compare` checks it again.
    """
    there = {}
    for path in sorted(out.glob("*/runs/*.h5")):
        if path.parent.parent.name != name and (form := _form_of(path)) is not None:
            there.setdefault(digest(form), path)
    for run in planned(name).runs:
        target, source = out / name / run.file, there.get(digest(run.form))
        if not target.exists() and source is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, target)


def _form_of(path: Path) -> dict[str, Any] | None:
    """Return what a run file's job does; None if it can't be taken over."""
    try:
        given = read_attributes(path)
        return form_in(path, given) if given["status"] == "complete" else None
    except UserError:
        return None


def _hybridmpi(*arguments: str) -> bool:
    """Run a command in the project's folder, where `jobs.paper.models` is found."""
    line = [sys.executable, "-m", "hybridmpi", *arguments]
    code = subprocess.run(line, cwd=ROOT, check=False).returncode
    if code not in (0, 1):
        sys.exit(code)
    return code == 0
