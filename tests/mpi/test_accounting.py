"""Invariant 5: every gradient is accounted for, whatever the method, form and delays."""

import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from hybridmpi.runlog.run import Run

FORMS = ("waiting", "collective")
RANKS = (3, 5)
LIMIT = 41
SLOW_S = 1.0


def methods(workers: int) -> dict[str, dict[str, Any]]:
    def constant(value: int) -> dict[str, Any]:
        return {"threshold": {"schedule": "constant", "value": value}}

    growing = {"schedule": "step", "initial": 1, "increment": 1, "every": 12}
    return {
        "async": {"preset": "async"},
        "hybrid": {"preset": "hybrid", "threshold": growing},
        "m-sync": {"preset": "m-sync", **constant(workers - 1)},
        "k-sync": {"preset": "k-sync", **constant(workers - 1)},
        "rennala": {"preset": "rennala", **constant(3)},
        "k-batch-async": {"preset": "k-batch-async", **constant(3)},
    }


def job(method: dict[str, Any], form: str) -> dict[str, Any]:
    return {
        "run": {"gradient_limit": LIMIT},
        "method": {**method, "broadcast": form},
        "data": {"dataset": "digits", "batch_size": 16},
        "model": {"name": "models_for_ranks:small"},
        "delays": {"fraction": 0.5, "max_s": 0.02},
    }


def slow_job(method: dict[str, Any], form: str) -> dict[str, Any]:
    slow = {"fraction": 0.5, "min_s": SLOW_S, "max_s": SLOW_S}
    return {**job(method, form), "run": {"time_limit_s": 1.5 * SLOW_S}, "delays": slow}


@pytest.fixture(scope="module")
def runs(train_all: Callable[..., Any]) -> dict[tuple[int, str], Run]:
    runs = {}
    for ranks in RANKS:
        known = methods(ranks - 1)
        jobs = {f"{name}-{form}": job(known[name], form) for name, form in product(known, FORMS)}
        jobs |= {f"slow-{form}": slow_job(known["hybrid"], form) for form in FORMS}
        runs |= {(ranks, name): run for name, run in train_all(ranks, jobs).runs.items()}
    return runs


@pytest.fixture(params=RANKS, ids=lambda ranks: f"{ranks}_ranks")
def ranks_(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


NAMES = [f"{name}-{form}" for name, form in product([*methods(4), "slow"], FORMS)]


@pytest.fixture(params=NAMES)
def run(runs: dict[tuple[int, str], Run], ranks_: int, request: pytest.FixtureRequest) -> Run:
    return runs[ranks_, request.param]


def steps_of_rows(run: Run) -> Iterator[tuple[Any, Any]]:
    """Yield each step with the gradients in it."""
    for step in run.steps.itertuples():
        yield step, run.gradients[run.gradients.step == step.version]


def versions_at_arrival(run: Run) -> NDArray[np.int64]:
    """Return the server's version when each gradient arrived: the last of a step triggered it."""
    triggers = [rows.index[-1] for _, rows in steps_of_rows(run)]
    return np.searchsorted(triggers, run.gradients.index)


def numbered(run: Run, kind: str, worker: int) -> list[int]:
    """Return the batches of a worker that only an event tells of."""
    events = run.events[(run.events.kind == kind) & (run.events.worker == worker)]
    found = (re.fullmatch(r"batch (\d+)", detail) for detail in events.detail)
    return [int(match[1]) for match in found if match]


def test_run_is_complete(run: Run) -> None:
    assert run.status == "complete"
    assert run.final_version == len(run.steps) > 0
    assert np.isfinite(run.final).all()


def test_pushed_is_stepped_plus_discarded_plus_buffered(run: Run) -> None:
    counts = run.accounting()
    assert counts.pushed == counts.stepped + counts.discarded + counts.buffered
    assert counts.stepped == run.steps.gradients.sum()
    assert counts.buffered < run.attributes["num_workers"]
    if run.config["run"]["gradient_limit"]:
        assert counts.pushed == LIMIT


def test_each_step_holds_the_gradients_that_point_to_it(run: Run) -> None:
    for step, rows in steps_of_rows(run):
        assert len(rows) == step.gradients >= step.threshold
        assert rows.accepted.all()
        assert_allclose(rows.weight.sum(), 1, rtol=1e-12)
        assert_allclose(step.mean_staleness, rows.staleness.mean())
        assert step.max_staleness == rows.staleness.max()
        assert_allclose(step.train_loss, rows.loss.mean())
        assert step.time_s == rows.time_s.iloc[-1]


def test_gradients_outside_steps_weigh_nothing(run: Run) -> None:
    rest = run.gradients[run.gradients.step < 0]
    assert (rest.weight == 0).all()
    buffered = rest[rest.accepted]
    last = run.gradients.index[run.gradients.step == len(run.steps)][-1]
    assert (buffered.index > last).all()


def test_staleness_is_the_servers_version_minus_the_push_s(run: Run) -> None:
    rows = run.gradients
    assert_array_equal(rows.staleness, versions_at_arrival(run) - rows.version)
    assert (rows.staleness >= 0).all()


def test_time_and_versions_never_go_back(run: Run) -> None:
    assert run.steps.version.tolist() == list(range(1, len(run.steps) + 1))
    assert run.gradients.time_s.is_monotonic_increasing
    assert run.steps.time_s.is_monotonic_increasing
    for _, rows in run.gradients.groupby("worker"):
        assert rows.version.is_monotonic_increasing
        assert rows.batch.is_monotonic_increasing


def test_every_batch_is_a_row_or_an_event_and_never_both(run: Run) -> None:
    for worker in range(1, run.attributes["num_workers"] + 1):
        pushed = run.gradients.batch[run.gradients.worker == worker].tolist()
        late, cancelled = (numbered(run, kind, worker) for kind in ("late", "cancelled"))
        assert sorted(pushed + late + cancelled) == list(range(len(pushed + late + cancelled)))
        assert len(late) <= 1


def test_stale_gradients_are_treated_as_the_method_says(run: Run) -> None:
    rows = run.gradients
    accepts_stale = run.config["method"]["stale"]["rule"] == "accept"
    assert_array_equal(rows.accepted, accepts_stale or rows.staleness == 0)


@pytest.mark.parametrize("form", FORMS)
def test_limit_in_the_middle_of_the_buffer_leaves_it(
    runs: dict[tuple[int, str], Run], form: str
) -> None:
    counts = runs[5, f"k-batch-async-{form}"].accounting()
    assert (counts.stepped, counts.buffered) == (39, 2)
    counts = runs[3, f"k-batch-async-{form}"].accounting()  # here the threshold is clamped to 2
    assert (counts.stepped, counts.buffered) == (40, 1)


@pytest.mark.parametrize("form", FORMS)
def test_k_sync_cancels_the_batches_of_delayed_workers(
    runs: dict[tuple[int, str], Run], form: str, ranks_: int
) -> None:
    run = runs[ranks_, f"k-sync-{form}"]
    delayed = run.workers.set_index("rank").delayed
    cancelled = run.events.worker[run.events.kind == "cancelled"]
    assert delayed[cancelled].any()


@pytest.mark.parametrize("form", FORMS)
def test_slow_worker_is_late_and_the_others_go_on_meanwhile(
    runs: dict[tuple[int, str], Run], form: str, ranks_: int
) -> None:
    run = runs[ranks_, f"slow-{form}"]
    delayed = run.workers.set_index("rank").delayed
    counts = run.gradients.worker.value_counts()
    assert counts[~delayed].min() > counts[delayed].max() == 1
    late = set(run.events.worker[run.events.kind == "late"])
    assert set(delayed.index[delayed]) <= late
    assert run.duration_s == 1.5 * SLOW_S


def test_h5dump_prints_the_rows_of_ranks(
    runs: dict[tuple[int, str], Run], h5dump_rows: Callable[..., list[list[Any]]]
) -> None:
    run = runs[RANKS[0], NAMES[0]]
    for name in ("gradients", "steps", "workers"):
        expected = getattr(run, name).to_numpy().tolist()
        assert_array_equal(
            np.array(h5dump_rows(run.path, name), object), np.array(expected, object)
        )
