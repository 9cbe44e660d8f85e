"""The folder of an experiment: whose it is, who works in it, and which of its runs are there.

experiment.toml   a copy of what was asked
plan.json         the run file of every place, and the question
tuning.json       the best values found, where that was asked for
runs/             the run files
times.jsonl       how long each run took
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from hybridmpi.config.fields import changes_of
from hybridmpi.config.load import change_job
from hybridmpi.config.overlay import fields_of
from hybridmpi.core.revision import PROTOCOL_REVISION
from hybridmpi.errors import UserError
from hybridmpi.experiments.plan import Plan, PlannedRun
from hybridmpi.experiments.plan_file import PLAN, as_json, files_by_place, read_plan, write_plan
from hybridmpi.experiments.protocol import canonical
from hybridmpi.experiments.study import Place
from hybridmpi.runlog.attributes import Attributes, read_attributes
from hybridmpi.runlog.replacing import replacing

State = Literal["complete", "failed", "missing"]
EXPERIMENT, STOP, RUNS = "experiment.toml", ".stop", "runs"
_LOCK = ".lock"
_SHOWN_DIFFERENCES = 5
_BEFORE_REVISIONS = 1  # what runs are of whose file was written before it recorded the revision


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second process out of the folder, which is made if need be.

    The lock goes with its process, however that ends; the file that carries it stays.

    Raises:
        UserError: If another process works there, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _LOCK).open("a+")
    except OSError as error:
        raise UserError(
            f"cannot write to '{folder}': {error.strerror}; name another folder with --out"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise UserError(
                f"'{folder}' is in use by another `hybridmpi compare` ({file.read().strip()}); "
                "wait for its end, or name another folder with --out"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        file.flush()
        yield


def prepare(folder: Path, plan: Plan, experiment_file: Path) -> Plan:
    """Make the folder this experiment's, or see that it is; clear away what a killed process left.

    Returns:
        The plan, with the run files that are there already under the names that they have.

    Raises:
        UserError: If it is another experiment's, or holds something else.
    """
    plan = check(folder, plan)
    if not (folder / PLAN).exists() or read_plan(folder) != as_json(plan):
        write_plan(folder, plan)
    with replacing(folder / EXPERIMENT) as beside:
        beside.write_bytes(experiment_file.read_bytes())
    (folder / STOP).unlink(missing_ok=True)
    for left_behind in (folder / RUNS).glob(".*.part"):
        left_behind.unlink(missing_ok=True)
    return plan


def check(folder: Path, plan: Plan) -> Plan:
    """Return the plan as the folder has it, which may be new; see `prepare`.

    Raises:
        UserError: If it is another experiment's, or holds something else.
    """
    if (folder / PLAN).exists():
        there = read_plan(folder)
        _check_same(folder, there, as_json(plan))
        files = files_by_place(there)
        return replace(plan, runs=tuple(_as_found(run, folder, files) for run in plan.runs))
    others = [path.name for path in folder.glob("*") if not path.name.startswith(".")]
    if others:
        raise UserError(
            f"'{folder}' holds {others[0]}, but no {PLAN}; name a new folder with --out"
        )
    return plan


def _as_found(run: PlannedRun, folder: Path, files: Mapping[tuple[Place, bool], str]) -> PlannedRun:
    """Return a run with the file that it has, if plan.json knows it by another name.

    The hash in a name is of the fields that count, which another version may have taken otherwise.
    """
    if not (folder / run.file).exists():
        for place in run.places:
            file = files.get((place, run.is_tuning))
            if file is not None and state_of(folder / file, run) != "missing":
                return replace(run, file=file)
    return run


def state_of(path: Path, run: PlannedRun) -> State:
    """Say what is there of a run.

    A file counts only if it is of the same protocol and engine, and of the protocol's revision; a
    run that was stopped or killed is missing.
    """
    try:
        given = read_attributes(path)
        is_same = form_in(path, given) == run.form
    except UserError:
        return "missing"
    endings: dict[str, State] = {"complete": "complete", "failed": "failed"}
    return endings.get(given["status"], "missing") if is_same else "missing"


def form_in(path: Path, given: Attributes) -> dict[str, Any] | None:
    """Return the canonical form of a run file's job; None if it is of another revision.

    Args:
        path: The run file.
        given: Its attributes.

    Raises:
        UserError: If they are not those of a run with a job.
    """
    if given.get("protocol_revision", _BEFORE_REVISIONS) != PROTOCOL_REVISION:
        return None
    job = change_job(given.table("config"), (), str(path))
    return canonical(job, given["engine"], int(given["num_workers"]))


def failure_of(path: Path) -> str:
    """Return why a run failed, in its file's words."""
    return str(read_attributes(path).get("error", "no reason is recorded"))


def _check_same(folder: Path, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    jobs = [dict(fields_of(each.get("job", {}))) for each in (there, asked)]
    found = [
        *_differences(there.get("experiment"), asked["experiment"], ""),
        *(
            (name, old, new)
            for name, old, new in _differences(jobs[0], jobs[1], "")
            if changes_of(name).counts_for(asked["experiment"]["engine"])
        ),
        *_differences(there.get("question"), asked["question"], ""),
    ]
    differences = [f"{name} is {old}, asked for is {new}" for name, old, new in found]
    if differences:
        shown = differences[:_SHOWN_DIFFERENCES]
        more = len(differences) - len(shown)
        raise UserError(
            f"'{folder}' is another experiment's: {'; '.join(shown)}"
            f"{f'; and {more} more' if more else ''}. Name another folder with --out: what is to "
            "be decided is fixed before the runs"
        )


def _differences(old: Any, new: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            path = f"{name}.{key}" if name else key
            yield from _differences(old.get(key), new.get(key), path)
    elif old != new:
        yield name, old, new
