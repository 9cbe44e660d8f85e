"""A run under MPI that is killed, or stopped by a signal, goes on from its last checkpoint."""

import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hybridmpi.checkpoints.file import checkpoints_in, folder_of, read_state
from hybridmpi.cli import main
from hybridmpi.runlog.run import Run

NEVER, MORE = 1_000_000, 120  # gradients of a run that is broken off, and after it has gone on
FIELDS = {
    "run.time_limit_s": "",
    "run.gradient_limit": NEVER,
    "evaluation.every_s": "",
    "evaluation.every_steps": 50,
    "checkpoint.every_s": 0.2,
    "delays.fraction": 1.0,  # which leaves the processor to others, and a replay little to do
    "delays.min_s": 0.01,
    "delays.max_s": 0.01,
}
HYBRID = {
    "method.preset": "hybrid",
    "method.threshold": "{schedule='step', initial=1, increment=1, every=50}",
}
WAYS: dict[str, dict[str, str]] = {
    "shared memory": HYBRID,
    "messages, momentum": HYBRID | {"run.transport": "messages", "optimizer.momentum": "0.9"},
    "k-sync, adam, collective": {
        "method.preset": "k-sync",
        "method.broadcast": "collective",
        "method.threshold": "{schedule='constant', value=2}",
        "optimizer.name": "adam",
        "optimizer.learning_rate": "0.001",
    },
}


def options(fields: dict[str, Any]) -> list[str]:
    return [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]


def resume(ranks: Any, limit: int, number: int = 3) -> Any:
    """Go on with `hybridmpi launch --resume` up to so many gradients."""
    line = ["-m", "hybridmpi", "launch", "-n", str(number)]
    more = options({"run.gradient_limit": limit})
    return ranks.without_mpirun(*line, "--resume", str(folder_of(ranks.run_file)), *more)


def check_account(run: Run, limit: int) -> None:
    """Every gradient once, and steps without a gap."""
    assert run.status == "complete"
    assert len(run.gradients) == limit
    assert not run.gradients.duplicated(["worker", "batch"]).any()
    assert run.gradients.time_s.is_monotonic_increasing
    assert run.steps.version.tolist() == list(range(1, run.final_version + 1))
    assert run.steps.gradients.sum() == (run.gradients.step > 0).sum()
    buffered = run.gradients.accepted & (run.gradients.step < 0)
    assert run.steps.gradients.sum() + buffered.sum() + (~run.gradients.accepted).sum() == limit
    assert run.evaluations.time_s.is_monotonic_increasing
    assert run.evaluations.version.iloc[[0, -1]].tolist() == [0, run.final_version]


def wait_for_checkpoint(ranks: Any) -> Path:
    while not (found := checkpoints_in(folder_of(ranks.run_file))):
        ranks.wait_for_gradients(len(ranks.read().gradients) if ranks.run_file.exists() else 1)
    return found[-1]


@pytest.mark.parametrize("way", WAYS)
def test_a_run_whose_server_was_killed_goes_on_and_can_be_replayed(ranks: Any, way: str) -> None:
    with ranks.launched(3, *options(FIELDS | WAYS[way])) as running:
        wait_for_checkpoint(ranks)
        running.rank(0).kill()
        ended = running.wait()
        assert ended.exit_code != 0
        assert not running.left_alive()
    killed, newest = ranks.read(), checkpoints_in(folder_of(ranks.run_file))[-1]
    then = read_state(newest).facts
    assert len(killed.gradients) >= then["recorder"]["rows"]["gradients"] > 0
    assert killed.status == "running"

    limit = then["core"]["gradients"] + MORE
    ended = resume(ranks, limit)
    assert ended.exit_code == 0, ended
    run = ranks.read()
    check_account(run, limit)
    assert run.attributes["resumed_at_version"] == int(newest.stem)
    assert (run.gradients.time_s > then["time_s"]).sum() == MORE
    replayed = CliRunner().invoke(main, ["replay", str(ranks.run_file)])
    assert replayed.exit_code == 0, replayed.output


def test_a_signal_loses_nothing(ranks: Any) -> None:
    fields = FIELDS | HYBRID | {"checkpoint.every_s": 1000}
    with ranks.launched(3, *options(fields)) as running:
        ranks.wait_for_gradients(20)
        running.process.send_signal(signal.SIGTERM)
        running.wait()
    stopped = ranks.read()
    assert stopped.status == "stopped"
    limit = len(stopped.gradients) + MORE
    ended = resume(ranks, limit)
    assert ended.exit_code == 0, ended
    run = ranks.read()
    check_account(run, limit)
    assert run.attributes["resumed_at_version"] == stopped.final_version
    ours = ["worker", "batch", "version", "loss"]
    then = run.gradients[ours].iloc[: len(stopped.gradients)]
    assert then.equals(stopped.gradients[ours])


def test_the_same_command_begins_goes_on_and_finds_the_run_complete(ranks: Any) -> None:
    command = (*options(FIELDS | HYBRID), "--go-on")
    with ranks.launched(3, *command) as running:
        version = int(wait_for_checkpoint(ranks).stem)
        running.process.send_signal(signal.SIGUSR1)
        assert running.wait().exit_code == 0
    limit = len(ranks.read().gradients) + MORE
    until = options({"run.gradient_limit": limit})
    assert ranks.launch(3, *command, *until).exit_code == 0
    run = ranks.read()
    check_account(run, limit)
    assert run.attributes["resumed_at_version"] >= version
    ended = ranks.launch(3, *command, *until)
    assert ended.exit_code == 0
    assert "complete already" in ended.stdout
    assert ranks.read().attributes == run.attributes


def test_the_number_of_workers_may_change_again_and_again(ranks: Any) -> None:
    with ranks.launched(4, *options(FIELDS | HYBRID)) as running:
        ranks.wait_for_gradients(20)
        running.process.send_signal(signal.SIGTERM)
        running.wait()
    limit = len(ranks.read().gradients)
    anew = "2 workers share the training set anew, no longer 3"
    for workers, remark in ((2, anew), (2, ""), (3, "")):
        limit += MORE
        ended = resume(ranks, limit, workers + 1)
        assert ended.exit_code == 0, ended
        assert remark in ended.stdout + ended.stderr
        check_account(run := ranks.read(), limit)
        assert set(run.gradients.worker) == {1, 2, 3}  # also of those that are gone
        assert set(run.gradients.worker[-MORE // 2 :]) == set(range(1, workers + 1))
        assert run.attributes["num_workers"] == workers
        assert run.attributes["shared_out_anew"] == 1
        assert run.workers.device.tolist() == ["cpu"] * workers + ["gone"] * (3 - workers)
        assert run.workers.shard_size.sum() == run.attributes["training_samples"]
    changes = run.events[run.events.kind.isin(["lost", "joined"])]
    assert list(zip(changes.kind, changes.worker, strict=True)) == [("lost", 3), ("joined", 3)]
    replayed = CliRunner().invoke(main, ["replay", str(ranks.run_file)])
    assert replayed.exit_code == 2
    assert "cannot be replayed" in replayed.output


def test_what_cannot_go_on_is_told_once(ranks: Any) -> None:
    assert ranks.launch(2, "--set", "run.gradient_limit=20", "--set", "checkpoint.every_steps=1")
    folder = folder_of(ranks.run_file)
    for arguments, words in (
        ((str(folder / "gone.safetensors"),), "cannot be read"),
        ((str(folder), "--set", "run.seed=3"), "cannot change when a run goes on"),
        ((str(ranks.folder),), "holds no checkpoint"),
    ):
        line = ["-m", "hybridmpi", "launch", "-n", "2", "--resume", *arguments]
        ended = ranks.without_mpirun(*line)
        assert ended.exit_code == 2
        assert words in ended.stderr
