"""What goes wrong while a run trains: it is told once, the file is closed, and all ranks end."""

import re
import time
from typing import Any

import pytest

from hybridmpi.launcher import matching_mpirun

LONG = ("--set", "run.gradient_limit=", "--set", "run.time_limit_s=1000")  # more than tests wait
SOON_S = 60.0  # from the last words in the run file to the end of all ranks
FAILING_SERVER = """
from hybridmpi.cli import main
from hybridmpi.learning import update

take_step = update.Update.step

def step(self, *arguments):
    step.calls = getattr(step, "calls", 0) + 1
    if step.calls == 3:
        raise ArithmeticError("this step cannot be taken")
    take_step(self, *arguments)

update.Update.step = step
main(["train", "job.toml", "--set", "run.gradient_limit=1000"])
"""


def check_failed(ended: Any, ranks: Any, *words: str) -> None:
    """Check that a run failed, told it once, and closed its file."""
    assert ended.exit_code == 1, ended
    assert len(ended.errors) == 1, ended
    for word in words:
        assert ended.count(word) == 1, ended
    assert time.time() - ranks.run_file.stat().st_mtime < SOON_S
    run = ranks.read()
    assert run.status == "failed"
    assert all(word in run.attributes["error"] for word in words)
    assert ranks.output() == ["run.h5"]


@pytest.mark.parametrize(("size", "form"), [(3, "waiting"), (5, "collective")])
def test_worker_that_raises_ends_the_run(ranks: Any, size: int, form: str) -> None:
    settings = ("--set", "model.name=models_for_ranks:raising_on_rank_2", *LONG)
    with ranks.launched(size, *settings, "--set", f"method.broadcast={form}") as running:
        ended = running.wait()
        assert not running.left_alive()
    check_failed(ended, ranks, "worker 2 failed", "ArithmeticError: this batch cannot be computed")
    assert "in disturb" in ended.stderr  # the traceback leads to the user's own line
    assert ranks.read().steps.version.tolist() == [1, 2, 3]


@pytest.mark.parametrize("size", [2, 4])
def test_server_that_raises_ends_the_run(ranks: Any, size: int) -> None:
    with ranks.started(size, "-m", "mpi4py", "-c", FAILING_SERVER) as running:
        ended = running.wait()
        assert not running.left_alive()
    check_failed(ended, ranks, "the server failed", "ArithmeticError: this step cannot be taken")
    assert ranks.read().steps.version.tolist() == [1, 2]


def test_gradients_with_nan_are_discarded_and_their_worker_named(ranks: Any) -> None:
    settings = ("--set", "model.name=models_for_ranks:sometimes_nan_on_rank_2")
    ended = ranks.launch(3, *settings, "--set", "run.gradient_limit=40")
    assert ended.exit_code == 0, ended
    run = ranks.read()
    assert run.status == "complete"
    rows = run.gradients
    is_bad = (rows.worker == 2) & (rows.batch % 4 == 1)
    assert is_bad.sum() > 2
    assert (rows.accepted == ~is_bad).all()
    told = run.events[run.events.kind == "non-finite"]
    assert told.worker.tolist() == [2] * is_bad.sum()
    assert [int(re.findall(r"\d+", text)[0]) for text in told.detail] == rows.batch[is_bad].tolist()


def test_too_many_gradients_with_nan_in_a_row_fail_the_run(ranks: Any) -> None:
    settings = (
        "--set",
        "model.name=models_for_ranks:always_nan",
        "--set",
        "run.non_finite_limit=5",
    )
    with ranks.launched(9, *settings, *LONG) as running:  # many more ranks than cores
        ended = running.wait()
        assert not running.left_alive()
    check_failed(ended, ranks, "5 gradients in a row held NaN or infinity", "from worker")
    run = ranks.read()
    assert len(run.gradients) == 5
    assert run.steps.empty


@pytest.mark.parametrize(("size", "end"), [(3, "os._exit 0"), (4, "os._exit 3"), (4, "sys.exit 3")])
def test_worker_whose_process_ends_is_noticed(
    ranks: Any, monkeypatch: pytest.MonkeyPatch, size: int, end: str
) -> None:
    """Where the run does not survive that, it fails; mpirun may end the server before it does."""
    monkeypatch.setenv("ENDS", end)
    settings = ("--set", "model.name=models_for_ranks:ending_on_rank_2")
    with ranks.launched(size, *settings, "--set", "run.gradient_limit=60") as running:
        ended = running.wait()
        assert not running.left_alive()
    run = ranks.read()
    if matching_mpirun().survives_losses:
        assert (ended.exit_code, run.status, ended.errors) == (0, "complete", []), ended
        lost = run.events[run.events.kind == "lost"]
        assert lost.worker.tolist() == [2]
        assert lost.detail.iloc[0].startswith("its process has ended")
        assert set(run.gradients.worker[int(lost.gradients.iloc[0]) :]) == {1, 3} - {size}
    else:
        assert (ended.exit_code, len(ended.errors)) == (1, 1), ended
        assert run.status in ("failed", "running")


def test_worker_whose_process_ends_before_training_ends_the_job(ranks: Any) -> None:
    settings = ("--set", "model.name=models_for_ranks:ending_when_built_on_rank_2", *LONG)
    with ranks.launched(4, *settings) as running:
        ended = running.wait()
        assert not running.left_alive()
    assert (ended.exit_code, len(ended.errors)) == (1, 1), ended
    assert ranks.output() == []


def test_server_whose_process_ends_is_missed(ranks: Any) -> None:
    script = FAILING_SERVER.replace(
        'raise ArithmeticError("this step cannot be taken")', "import os; os._exit(3)"
    )
    with ranks.started(4, "-m", "mpi4py", "-c", script) as running:
        ended = running.wait()
        assert not running.left_alive()
    assert ended.exit_code != 0
    assert time.time() - ranks.run_file.stat().st_mtime < SOON_S


def test_ranks_of_launch_are_not_started_several_times(ranks: Any) -> None:
    ended = ranks.mpirun(3, "-m", "hybridmpi", "launch", "-n", "3", "job.toml")
    assert (ended.exit_code, ended.stderr.count("Error: ")) == (2, 1), ended
    assert ended.stderr.count("type `hybridmpi launch -n 3 job.toml`") == 1, ended
    assert not ranks.run_file.exists()
