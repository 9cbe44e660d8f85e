"""A recorded run's compute times under another method."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hybridmpi import read_run
from hybridmpi.config import Job
from hybridmpi.config.load import change_job, parse_job
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.engines.what_if import what_if
from hybridmpi.errors import UserError
from hybridmpi.runlog.run import Run

WORKERS = 4
Ask = Callable[..., tuple[Run, int, int]]


def job(method: Mapping[str, Any], gradients: int, workers_per_host: int = 1) -> Job:
    tree = {
        "run": {"gradient_limit": gradients},
        "method": method,
        "simulate": {
            "workers": WORKERS,
            "workers_per_host": workers_per_host,
            "learning": False,
            "compute_fixed_s": 1.0,
            "jitter": {"distribution": "exponential"},
        },
    }
    return parse_job(tree, "job")


def record(path: Path, method: Mapping[str, Any], gradients: int = 40, **machine: int) -> Run:
    Simulation(job(method, gradients, **machine)).run(path)
    return read_run(path)


@pytest.fixture
def asynchronous(tmp_path: Path) -> Run:
    return record(tmp_path / "run.h5", {"preset": "async"})


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Return a function that asks what if, and returns the run and the two counts."""

    def asked(run: Run, *settings: str, **options: Any) -> tuple[Run, int, int]:
        config = {**run.config, "simulate": {"learning": False}}
        changed = change_job(config, settings, "run")
        path = tmp_path / "what-if.h5"
        _, used, resampled = what_if(run, changed, path, **options)
        return read_run(path), used, resampled

    return asked


def test_run_whose_server_was_never_idle_says_nothing_of_messages(tmp_path: Path, ask: Ask) -> None:
    run = record(tmp_path / "run.h5", {"preset": "async"}, workers_per_host=2)
    run.gradients["server_s"] = 1e3
    asked, used, _ = ask(run, "method.preset=sync")
    assert used >= len(asked.gradients) > 0


def compute_times(run: Run) -> dict[tuple[int, int], float]:
    return run.gradients.set_index(["worker", "batch"]).compute_s.to_dict()


def test_every_recorded_batch_takes_what_it_took(asynchronous: Run, ask: Ask) -> None:
    recorded = compute_times(asynchronous)
    run, used, resampled = ask(asynchronous, "method.preset=sync", "run.gradient_limit=32")
    asked = compute_times(run)
    common = recorded.keys() & asked.keys()
    assert len(common) > 20
    assert {key: asked[key] for key in common} == {key: recorded[key] for key in common}
    assert used >= len(asked) == 32
    assert resampled == used - len(common)


def test_batches_after_a_cancelled_one_keep_their_numbers(tmp_path: Path, ask: Ask) -> None:
    method = {"preset": "k-sync", "threshold": {"schedule": "constant", "value": 2}}
    recorded = record(tmp_path / "run.h5", method)
    then = compute_times(recorded)
    cancelled = {
        (row.worker, int(row.detail.split()[1]))
        for row in recorded.events[recorded.events.kind == "cancelled"].itertuples()
    }
    missing = cancelled - then.keys()
    assert len(missing) > 5
    run, used, resampled = ask(recorded, "method.preset=async")
    now = compute_times(run)
    common = then.keys() & now.keys()
    assert len(common) > 10
    assert {key: now[key] for key in common} == {key: then[key] for key in common}
    drawn = now.keys() & missing
    assert drawn
    for worker, batch in drawn:
        assert now[worker, batch] in {s for (owner, _), s in then.items() if owner == worker}
    assert resampled >= len(now.keys() - then.keys())
    assert used - resampled >= len(common)


def test_batches_beyond_the_recorded_ones_are_drawn_from_the_workers_own(
    asynchronous: Run, ask: Ask
) -> None:
    then = compute_times(asynchronous)
    run, used, resampled = ask(asynchronous, "run.gradient_limit=200")
    now = compute_times(run)
    for worker in range(1, WORKERS + 1):
        own = {taken for (owner, _), taken in then.items() if owner == worker}
        assert {taken for (owner, _), taken in now.items() if owner == worker} <= own
    assert resampled >= 200 - len(then)
    assert used - resampled == len(then)


def test_run_file_names_the_recorded_run(asynchronous: Run, ask: Ask) -> None:
    run, _, _ = ask(asynchronous)
    assert run.attributes["compute_times_of"] == "run.h5"
    assert run.attributes["num_workers"] == run.config["simulate"]["workers"] == WORKERS


def test_recorded_number_of_workers_may_be_given(asynchronous: Run, ask: Ask) -> None:
    run, _, _ = ask(asynchronous, f"simulate.workers={WORKERS}")
    assert len(run.workers) == WORKERS


def test_another_number_of_workers_is_refused(asynchronous: Run, ask: Ask) -> None:
    told = r"simulate\.workers is 9, but '.*run\.h5' has the compute times of 4 workers; leave"
    with pytest.raises(UserError, match=told):
        ask(asynchronous, "simulate.workers=9")


def test_worker_without_a_push_is_refused(asynchronous: Run, ask: Ask) -> None:
    asynchronous.gradients.loc[asynchronous.gradients.worker == 3, "worker"] = 2
    with pytest.raises(UserError, match="no compute time of worker 3; replay a longer run"):
        ask(asynchronous)


def test_interrupted_run_is_stopped(asynchronous: Run, ask: Ask) -> None:
    run, _, _ = ask(asynchronous, interrupted=lambda: "SIGINT")
    assert run.status == "stopped"
    assert run.events[run.events.kind == "end"].detail.tolist() == ["SIGINT"]
