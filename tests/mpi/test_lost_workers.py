"""Workers that are killed, or hang: the run goes on without them, where MPI survives losses."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from hybridmpi.checkpoints.file import folder_of
from hybridmpi.cli import main
from hybridmpi.launcher import matching_mpirun
from hybridmpi.learning.datasets.digits import digits
from hybridmpi.runlog.run import Run

# Workers that are delayed leave the processor to others, and a replay little to do.
FIELDS = {
    "run.gradient_limit": 1_000_000,  # more than tests wait for: they stop the run
    "evaluation.every_s": "",
    "evaluation.every_steps": 100,
    "delays.fraction": 1.0,
    "delays.min_s": 0.01,
    "delays.max_s": 0.01,
}
HYBRID = {
    "method.preset": "hybrid",
    "method.threshold": "{schedule='step', initial=1, increment=1, every=100}",
}
COLLECTIVE = {"method.broadcast": "collective"}
MESSAGES = {"run.transport": "messages"}
TWO = {"method.threshold": "{schedule='constant', value=2}"}
WAYS: dict[str, dict[str, Any]] = {
    "hybrid, shared memory": HYBRID,
    "k-batch-async, messages": {"method.preset": "k-batch-async"} | TWO | MESSAGES,
    "rennala, collective, dropped": {
        "method.preset": "rennala",
        "faults.lost_shard": "drop",
    }
    | TWO
    | COLLECTIVE,
}


@pytest.fixture(autouse=True)
def _needs_ulfm(_mpirun: None) -> None:
    if not matching_mpirun().survives_losses:
        pytest.skip("this MPI ends the job when a rank is lost (only Open MPI's ULFM does not)")


def options(fields: dict[str, Any]) -> list[str]:
    return [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]


def replay(path: Path) -> Any:
    return CliRunner().invoke(main, ["replay", str(path)])


def lost(run: Run) -> list[int]:
    workers: list[int] = run.events.worker[run.events.kind == "lost"].tolist()
    return workers


def have_gone_on(run: Run, losses: int, gradients: int = 50) -> bool:
    """Whether so many workers are lost, and gradients of the others in steps since."""
    before = run.events.gradients[run.events.kind == "lost"]
    stepped = run.gradients.step > 0
    return len(before) >= losses and stepped.iloc[before.max() :].sum() > gradients


def stop(running: Any) -> Any:
    """End a run in good order."""
    running.process.send_signal(signal.SIGUSR1)
    ended = running.wait()
    assert not running.left_alive()
    assert ended.exit_code == 0, ended
    return ended


def check_account(run: Run) -> None:
    counts = run.accounting()
    assert counts.pushed == counts.stepped + counts.discarded + counts.buffered
    assert counts.stepped == run.steps.gradients.sum()
    assert run.steps.version.tolist() == list(range(1, len(run.steps) + 1))
    assert run.final_version in (len(run.steps), -1)  # a failed run has no final parameters
    assert not run.gradients.duplicated(["worker", "batch"]).any()


def shared_memory(process: psutil.Process) -> set[str]:
    """Return the files of shared memory that a process has mapped, and that have names."""
    paths = {each.path for each in process.memory_maps() if each.path.startswith("/dev/shm/")}
    return {path for path in paths if os.path.exists(path)}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_goes_on_without_killed_workers_and_can_be_replayed(ranks: Any, way: str) -> None:
    with ranks.launched(5, *options(FIELDS | WAYS[way])) as running:
        ranks.wait_for_gradients(40)
        mapped = [shared_memory(running.rank(rank)) for rank in range(5)]
        running.rank(2).kill()
        ranks.wait_for(lambda run: have_gone_on(run, losses=1))
        running.rank(4).kill()
        ranks.wait_for(lambda run: have_gone_on(run, losses=2))
        ended = stop(running)
    assert ended.stdout.count("is lost at") == 2
    assert ended.count("WARNING") == 0
    assert not [path for path in set().union(*mapped) if os.path.exists(path)]

    run = ranks.read()
    assert run.status == "stopped"
    assert lost(run) == [2, 4]
    check_account(run)
    last = run.events.gradients[run.events.kind == "lost"].max()
    after = run.gradients.iloc[last:]
    assert set(after.worker) == {1, 3}
    redistributes = run.config["faults"]["lost_shard"] == "redistribute"
    assert after.assignment.max() == (2 if redistributes else 0)
    assert run.steps.threshold.iloc[-1] <= 2
    replayed = replay(ranks.run_file)
    assert replayed.exit_code == 0, replayed.output


def test_a_worker_that_hangs_is_given_up_and_ended(ranks: Any) -> None:
    fields = FIELDS | HYBRID | {"faults.timeout_s": 3}
    with ranks.launched(4, *options(fields)) as running:
        ranks.wait_for_gradients(40)
        hung = running.rank(3)
        hung.send_signal(signal.SIGSTOP)
        ranks.wait_for(lambda run: have_gone_on(run, losses=1))
        ended = stop(running)
        assert not hung.is_running() or hung.status() == psutil.STATUS_ZOMBIE
    assert ended.stdout.count("no push within 3 s") == 1
    run = ranks.read()
    assert run.status == "stopped"
    assert lost(run) == [3]
    check_account(run)
    assert replay(ranks.run_file).exit_code == 0


def test_too_few_workers_fail_the_run_which_then_goes_on(ranks: Any) -> None:
    fields = FIELDS | HYBRID | {"checkpoint.every_s": 1000, "faults.min_workers": 3}
    with ranks.launched(4, *options(fields)) as running:
        ranks.wait_for_gradients(40)
        running.rank(1).kill()
        ended = running.wait()
        assert not running.left_alive()
    assert ended.exit_code != 0
    assert len(ended.errors) == 1, ended
    assert "faults.min_workers is 3" in ended.errors[0]
    failed = ranks.read()
    assert failed.status == "failed"
    check_account(failed)

    resume = ("launch", "-n", "4", "--resume", str(folder_of(ranks.run_file)))
    limit = options({"run.gradient_limit": len(failed.gradients) + 200})
    assert ranks.without_mpirun("-m", "hybridmpi", *resume, *limit).exit_code == 0
    run = ranks.read()
    assert run.status == "complete"
    check_account(run)
    assert run.events.kind[run.events.worker == 1].isin(["lost", "joined"]).sum() >= 2
    after = run.gradients.iloc[len(failed.gradients) :]
    assert set(after.worker) == {1, 2, 3}
    assert set(after.assignment) == {2}  # with its own shard again
    assert replay(ranks.run_file).exit_code == 0


@pytest.mark.parametrize("form", [HYBRID, HYBRID | COLLECTIVE], ids=["waiting", "collective"])
def test_without_its_server_a_run_ends_at_once(ranks: Any, form: dict[str, Any]) -> None:
    with ranks.launched(4, *options(FIELDS | form)) as running:
        ranks.wait_for_gradients(40)
        running.rank(0).kill()
        killed_s = time.monotonic()
        ended = running.wait()
        assert time.monotonic() - killed_s < 60
        assert not running.left_alive()
    assert ended.exit_code != 0
    assert ended.errors == [
        "Error: the parameter server is lost; continue with --resume, if the job writes checkpoints"
    ]
    assert len(ranks.read().gradients) >= 40


def test_a_worker_killed_after_training_is_not_missed(ranks: Any) -> None:
    slow = {"model.name": "models_for_ranks:slow_to_evaluate", "method.preset": "async"}
    short = {"run.gradient_limit": 12, "evaluation.every_steps": 2}
    with ranks.launched(3, *options(FIELDS | slow | short)) as running:
        ranks.wait_for_gradients(12)
        running.rank(1).kill()
        ended = running.wait()
        assert not running.left_alive()
    assert ended.exit_code == 0, ended
    run = ranks.read()
    assert run.status == "complete"
    assert len(run.evaluations) == 7


def test_a_lost_shard_is_learned_from_by_the_others(ranks: Any) -> None:
    """With contiguous shards, only who inherits a worker's samples can draw them."""
    cut = {"data.shards": "contiguous", "data.last_batch": "keep"}
    fields = FIELDS | {"method.preset": "async"} | cut
    with ranks.launched(3, *options(fields)) as running:
        ranks.wait_for_gradients(40)
        running.rank(2).kill()
        ranks.wait_for(lambda run: have_gone_on(run, losses=1, gradients=100))
        stop(running)
    run = ranks.read()
    assert lost(run) == [2]
    heir = run.gradients[run.gradients.worker == 1]
    assert heir.assignment.is_monotonic_increasing
    assert heir.assignment.iloc[-1] == 1
    sizes = run.workers.shard_size.tolist()
    assert sum(sizes) == len(digits().train_labels) == run.attributes["training_samples"]
    per_epoch = [-(-size // 16) for size in (sizes[0], sum(sizes))]
    assert (heir.samples < 16).any()
    for assignment, batches in enumerate(per_epoch):
        mine = heir[heir.assignment == assignment]
        short = mine.batch[mine.samples < 16]
        assert np.all(short % batches == batches - 1)
    assert replay(ranks.run_file).exit_code == 0
