"""Which jobs are one protocol, and which are not."""

from typing import Any

import pytest

from hybridmpi.config.load import parse_job
from hybridmpi.experiments.protocol import canonical, digest

WORKERS = 4


def key(
    method: dict[str, Any], engine: str = "simulate", workers: int = WORKERS, **more: Any
) -> str:
    job = {"run": {"time_limit_s": 10}, "method": method, "simulate": {"workers": workers}} | more
    return digest(canonical(parse_job(job, "test"), engine, workers))


def hybrid(**threshold: Any) -> dict[str, Any]:
    return {"preset": "hybrid", "threshold": threshold}


def constant(preset: str, value: float | str, **more: Any) -> dict[str, Any]:
    return {"preset": preset, "threshold": {"schedule": "constant", "value": value}, **more}


ASYNC = {"preset": "async"}
SYNC = {"preset": "sync"}


@pytest.mark.parametrize(
    "method",
    [
        ASYNC | {"aggregation": "sum"},
        ASYNC | {"aggregation": "sqrt", "after_push": "continue"},
        constant("k-async", 1),
        constant("k-batch-async", 1.9, aggregation="sum"),
        hybrid(schedule="step", initial=1, increment=0.25, every=3, final=1.75),
        hybrid(schedule="step", initial=1, increment=0, every=3),
        hybrid(schedule="linear", slope=0.19, unit="seconds"),  # 1.9 at the time limit
        hybrid(
            schedule="join",
            pieces=[{"schedule": "constant", "value": 1}, {"schedule": "linear", "slope": -1}],
            boundaries=[5],
        ),
    ],
)
def test_threshold_that_never_reaches_2_is_asynchronous(method: dict[str, Any]) -> None:
    assert key(method) == key(ASYNC)


@pytest.mark.parametrize(
    "method",
    [
        constant("k-async", WORKERS),
        constant("k-async", 100),
        constant("k-sync", WORKERS),
        constant("m-sync", WORKERS),
        hybrid(schedule="step", initial=WORKERS, increment=1, every=3),
    ],
)
def test_threshold_of_all_workers_that_wait_is_synchronous(method: dict[str, Any]) -> None:
    assert key(method) == key(SYNC)


@pytest.mark.parametrize(
    "method",
    [
        SYNC,
        hybrid(schedule="step", initial=1, increment=1, every=10**6),
        hybrid(schedule="linear", slope=0.2, unit="seconds"),  # 2 at the time limit
        constant("k-async", 2),
        constant("k-sync", 1),
        ASYNC | {"stale": "inverse"},
    ],
)
def test_what_may_differ_from_asynchronous_has_runs_of_its_own(method: dict[str, Any]) -> None:
    assert key(method) != key(ASYNC)


def test_synchronous_steps_differ_with_their_aggregation() -> None:
    assert key(SYNC | {"aggregation": "sum"}) != key(SYNC)


def test_workers_that_go_on_are_not_synchronous() -> None:
    assert key(constant("k-batch-async", WORKERS)) != key(SYNC)


def test_worker_that_can_be_lost_makes_the_rule_for_stale_gradients_count() -> None:
    trace = {"simulate": {"workers": WORKERS, "trace": "trace.csv"}}
    assert key(constant("m-sync", WORKERS), **trace) != key(SYNC, **trace)
    assert key(constant("m-sync", WORKERS), "mpi") != key(SYNC, "mpi")


def test_one_worker_makes_every_method_the_same() -> None:
    assert key(SYNC, workers=1) == key(ASYNC, workers=1) == key(constant("m-sync", 3), workers=1)


def test_where_things_lie_does_not_matter() -> None:
    elsewhere = {"run": {"time_limit_s": 10, "output": "b.h5"}, "data": {"root": "/data"}}
    assert key(ASYNC, **elsewhere) == key(ASYNC)


@pytest.mark.parametrize(
    "setting",
    [
        {"run": {"time_limit_s": 10, "device": "cpu"}},
        {"run": {"time_limit_s": 10, "server_threads": 2}},
        {"run": {"time_limit_s": 10, "transport": "messages"}},
        {"run": {"time_limit_s": 10, "straggler_limit_s": 5.0}},
        {"faults": {"min_workers": 2}},
        {"faults": {"timeout_s": 60.0}},
        {"faults": {"lost_shard": "drop"}},
    ],
)
def test_what_concerns_ranks_matters_under_mpi_alone(setting: dict[str, Any]) -> None:
    assert key(ASYNC, **setting) == key(ASYNC)
    assert key(ASYNC, "mpi", **setting) != key(ASYNC, "mpi")


def test_virtual_machine_matters_in_a_simulation_alone() -> None:
    slow = {"simulate": {"workers": WORKERS, "slowness": [2.0]}}
    assert key(ASYNC, **slow) != key(ASYNC)
    assert key(ASYNC, "mpi", **slow) == key(ASYNC, "mpi")


@pytest.mark.parametrize("engine", ["simulate", "mpi"])
def test_what_is_kept_and_how_evaluation_is_cut_does_not_matter(engine: str) -> None:
    for setting in ({"checkpoint": {"every_s": 9.0}}, {"evaluation": {"batch_size": 10}}):
        assert key(ASYNC, engine, **setting) == key(ASYNC, engine)


def test_delays_of_nobody_do_not_matter() -> None:
    assert key(ASYNC, delays={"fraction": 0.2, "max_s": 9}) == key(ASYNC)  # of 4 workers none
    assert key(ASYNC, delays={"fraction": 0.25, "max_s": 9}) != key(ASYNC)


def test_engines_have_runs_of_their_own() -> None:
    assert key(ASYNC, "mpi") != key(ASYNC)


def test_broadcast_matters_under_mpi_alone() -> None:
    collective = ASYNC | {"broadcast": "collective"}
    assert key(collective) == key(ASYNC)
    assert key(collective, "mpi") != key(ASYNC, "mpi")
