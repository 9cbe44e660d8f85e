"""What goes wrong while a run trains: it is told once, the file is closed, and all ranks end."""

import re
from typing import Any

import pytest

LONG = ("--set", "run.gradient_limit=", "--set", "run.time_limit_s=60")
SOON_S = 45.0  # start-up included; a run that hangs would take longer
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
main(["train", "job.toml"])
"""


def check_failed(ended: Any, ranks: Any, *words: str) -> None:
    assert ended.exit_code == 1, ended
    assert len(ended.errors) == 1, ended
    for word in words:
        assert ended.count(word) == 1, ended
    assert ended.seconds < SOON_S
    run = ranks.read()
    assert run.status == "failed"
    assert all(word in run.attributes["error"] for word in words)
    assert ranks.output() == ["run.h5"]


@pytest.mark.parametrize("form", ["waiting", "collective"])
def test_worker_that_raises_ends_the_run(ranks: Any, form: str) -> None:
    settings = ("--set", "model.name=models_for_ranks:raising_on_rank_2", *LONG)
    with ranks.launched(3, *settings, "--set", f"method.broadcast={form}") as running:
        ended = running.wait()
        assert not running.left_alive()
    check_failed(ended, ranks, "worker 2 failed", "ArithmeticError: this batch cannot be computed")
    assert "in disturb" in ended.stderr  # the traceback leads to the user's own line
    assert ranks.read().steps.version.tolist() == [1, 2, 3]


def test_server_that_raises_ends_the_run(ranks: Any) -> None:
    ended = ranks.mpirun(3, "-m", "mpi4py", "-c", FAILING_SERVER)
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
    ended = ranks.launch(3, *settings, *LONG)
    check_failed(ended, ranks, "5 gradients in a row held NaN or infinity", "from worker")
    run = ranks.read()
    assert len(run.gradients) == 5
    assert run.steps.empty
