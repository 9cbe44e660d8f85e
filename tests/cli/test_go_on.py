from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hybridmpi.checkpoints.file import State, folder_of, named, write_state
from hybridmpi.cli.go_on import (
    asked_task,
    begin_or_go_on,
    has_lost_workers,
    is_complete,
    newest_version,
    status_of,
)
from hybridmpi.config import Job, load_job
from hybridmpi.errors import UserError
from hybridmpi.runlog.writer import RunWriter

JOB = """
run = { gradient_limit = 100, output = "run.h5" }
method = { preset = "sync" }
checkpoint = { every_s = 60 }
"""
OUTPUT = Path("run.h5")


@pytest.fixture
def job(folder: Path) -> Path:
    path = folder / "job.toml"
    path.write_text(JOB)
    return path


@pytest.fixture
def write(job: Path, new_run: Callable[..., RunWriter]) -> Callable[..., Job]:
    """Return a function that writes the job's run file and checkpoints."""

    def _write(status: str, versions: tuple[int, ...] = (), engine: str = "mpi") -> Job:
        loaded = load_job(job)
        writer = new_run(OUTPUT, config=loaded.model_dump(mode="json"), force=True)
        if status == "running":
            writer.flush()
        else:
            writer.close(status)
        for version in versions:
            state = State({"parameters": torch.zeros(1)}, {"engine": engine, "version": version})
            path = named(folder_of(OUTPUT), version)
            path.parent.mkdir(exist_ok=True)
            write_state(path, state)
        return loaded

    return _write


def test_run_begins_where_there_is_none(job: Path) -> None:
    task = begin_or_go_on(job, ["run.seed=3"])
    assert task is not None
    assert (task.job.run.seed, task.output, task.resume) == (3, OUTPUT, None)
    assert status_of(OUTPUT) == "not begun"
    assert newest_version(OUTPUT) == -1


def test_run_begins_where_only_checkpoints_of_another_are_left(job: Path, write: Any) -> None:
    write("running", (3,))
    OUTPUT.unlink()
    task = begin_or_go_on(job, [])
    assert task is not None
    assert task.resume is None


@pytest.mark.parametrize("status", ["running", "stopped", "failed"])
def test_run_goes_on_from_its_newest_checkpoint(job: Path, write: Any, status: str) -> None:
    write(status, (3, 20))
    task = begin_or_go_on(job, ["data.root=elsewhere"])
    assert task is not None
    assert task.resume is not None
    assert task.resume.facts["version"] == 20
    assert task.job.data.root == Path("elsewhere")
    assert newest_version(OUTPUT) == 20
    assert status_of(OUTPUT) == status


def test_run_without_a_checkpoint_begins_anew_if_it_may_be_replaced(job: Path, write: Any) -> None:
    write("running")
    task = begin_or_go_on(job, [])
    assert task is not None
    assert task.resume is None


def test_nothing_is_left_to_do_where_the_run_is_complete(job: Path, write: Any) -> None:
    loaded = write("complete", (3,))
    assert is_complete(loaded, OUTPUT)
    assert begin_or_go_on(job, ["run.transport=messages"]) is None


def test_complete_run_goes_on_to_a_later_end(job: Path, write: Any) -> None:
    write("complete", (3,))
    task = begin_or_go_on(job, ["run.gradient_limit=200"])
    assert task is not None
    assert task.resume is not None
    assert not is_complete(task.job, OUTPUT)


def test_run_of_another_job_is_neither_gone_on_with_nor_replaced(job: Path, write: Any) -> None:
    write("stopped", (3,))
    with pytest.raises(UserError, match=r"another job's run: run\.seed was 0 and is 3; give"):
        begin_or_go_on(job, ["run.seed=3"])


def test_checkpoint_of_the_simulator_is_refused(job: Path, write: Any) -> None:
    write("stopped", (3,), engine="simulate")
    with pytest.raises(UserError, match="written by `hybridmpi simulate`"):
        begin_or_go_on(job, [])


def test_job_without_checkpoints_is_refused(job: Path) -> None:
    with pytest.raises(UserError, match=r"--set checkpoint\.every_s=60"):
        begin_or_go_on(job, ["checkpoint.every_s="])


@pytest.mark.parametrize(("job", "resume"), [(None, None), (Path("a"), Path("b"))])
def test_job_is_named_and_no_checkpoint(job: Path | None, resume: Path | None) -> None:
    with pytest.raises(UserError, match=r"give it the JOB\.toml"):
        asked_task(job, [], resume, go_on=True)


@pytest.mark.parametrize(
    ("kinds", "is_loss"),
    [
        (("start",), False),
        (("lost",), True),
        (("lost", "checkpoint"), True),
        (("lost", "end"), False),
    ],
)
def test_a_run_that_ended_with_a_loss_is_recognised(
    new_run: Callable[..., RunWriter], folder: Path, kinds: tuple[str, ...], is_loss: bool
) -> None:
    del folder
    writer = new_run(OUTPUT)
    for kind in kinds:
        writer.event(1.0, kind, 0, "", 0)
    writer.close("failed", error="too few")
    assert has_lost_workers(OUTPUT) is is_loss
