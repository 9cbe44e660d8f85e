"""Signals end a run early; the run file tells of all that came before."""

import signal
from typing import Any

import pytest

LONG = ("--set", "run.gradient_limit=", "--set", "run.time_limit_s=100")
TRAIN = ("-m", "mpi4py", "-m", "hybridmpi", "train", "job.toml", *LONG)


def exit_code_after(number: signal.Signals, ranks: Any) -> int:
    with ranks.launched(3, *LONG) as running:
        ranks.wait_for_gradients()
        running.process.send_signal(number)
        ended = running.wait()
        assert not running.left_alive()
    assert "Error" not in ended.stderr, ended
    code: int = ended.exit_code
    return code


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 0)],
    ids=lambda value: getattr(value, "name", value),
)
def test_signal_to_launch_closes_the_run_as_stopped(
    ranks: Any, number: signal.Signals, exit_code: int
) -> None:
    assert exit_code_after(number, ranks) == exit_code
    run = ranks.read()
    assert run.status == "stopped"
    assert run.final_version == len(run.steps) > 0
    assert run.evaluations.version.iloc[-1] == run.final_version
    assert run.duration_s < 100
    assert ranks.output() == ["run.h5"]


@pytest.mark.parametrize("rank", [0, 2])
def test_usr1_on_any_rank_closes_the_run_as_stopped(ranks: Any, rank: int) -> None:
    with ranks.launched(3, *LONG) as running:
        ranks.wait_for_gradients()
        running.rank(rank).send_signal(signal.SIGUSR1)
        ended = running.wait()
        assert not running.left_alive()
    assert ended.exit_code == 0, ended
    assert "Error" not in ended.stderr, ended
    run = ranks.read()
    assert run.status == "stopped"
    assert run.events.detail.iloc[-1] == "SIGUSR1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_run_file_of_a_killed_mpirun_can_be_read(ranks: Any, number: signal.Signals) -> None:
    with ranks.started(3, *TRAIN) as running:
        ranks.wait_for_gradients(20)
        running.process.send_signal(number)
        running.wait()
        assert not running.left_alive()
    run = ranks.read()
    assert run.status != "complete"
    assert len(run.gradients) >= 20
    assert run.steps.version.tolist() == list(range(1, len(run.steps) + 1))


def test_run_does_not_wait_for_ever_for_a_worker_that_computes(ranks: Any) -> None:
    fields = {
        "method.preset": "async",
        "run.gradient_limit": 20,
        "run.straggler_limit_s": 1,
        "delays.fraction": 0.5,
        "delays.min_s": 500,
        "delays.max_s": 500,
    }
    settings = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
    with ranks.launched(3, *settings) as running:
        ended = running.wait()
        assert not running.left_alive()
    assert ended.exit_code == 0, ended
    assert (ended.stdout + ended.stderr).count("did not answer in time") == 1
    assert ended.seconds < 200
    run = ranks.read()
    assert run.status == "complete"
    assert run.final_version == 20
    assert "lost" in set(run.events.kind)
