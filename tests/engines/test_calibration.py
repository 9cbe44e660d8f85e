"""Runs on a known machine, passed off as runs under MPI: the fit has to find that machine."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybridmpi import read_run
from hybridmpi.config.load import parse_job
from hybridmpi.config.simulate import SimulateSection
from hybridmpi.engines.calibration import Calibration, calibrate
from hybridmpi.engines.calibration_check import compare
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.errors import UserError
from hybridmpi.runlog.attributes import Attributes
from hybridmpi.runlog.run import Run

HYBRID = {
    "preset": "hybrid",
    "threshold": {"schedule": "step", "initial": 1, "increment": 1, "every": 200},
}
MACHINE = {
    "workers": 4,
    "learning": False,
    "compute_per_sample_s": 0.001,
    "latency_s": [0.003],
    "server_per_gradient_s": 0.0005,
    "server_per_step_s": 0.002,
}
SHARED = {"workers_per_host": 4, "cores_per_host": 2}
Record = Callable[..., Run]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    def record(*, method: dict[str, Any] = HYBRID, gradients: int = 800, **sections: Any) -> Run:
        tree = {
            "run": {"gradient_limit": gradients},
            "method": method,
            "data": {"batch_size": 20},
            "simulate": MACHINE,
        }
        tree |= sections
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.h5"
        Simulation(parse_job(tree, "test")).run(path)
        return as_recorded(read_run(path))

    return record


def as_recorded(run: Run) -> Run:
    """Pass a simulated run off as one under MPI, on hosts with the cores that it had."""
    cores = run.config["simulate"]["cores_per_host"]
    hosts = json.dumps(dict.fromkeys(run.workers.host, cores))
    attributes = {**run.attributes, "engine": "mpi", "hosts": hosts}
    return replace(run, attributes=Attributes(run.path, attributes))


def fit(run: Run, *others: Run) -> Calibration:
    return calibrate(run, parse_job(run.config, "test"), others)


def machine(run: Run, *others: Run) -> SimulateSection:
    return fit(run, *others).section


def test_every_part_of_a_machine_without_chance_is_found(record: Record) -> None:
    found = machine(record())
    assert found.workers == 4
    assert found.compute_fixed_s == 0
    assert found.compute_per_sample_s == pytest.approx(0.001, rel=1e-3)
    assert found.slowness == pytest.approx([1, 1, 1, 1], rel=1e-3)
    assert found.jitter.factors == pytest.approx([1] * 40, rel=1e-3)
    assert found.server_per_gradient_s == pytest.approx(0.0005, rel=1e-3)
    assert found.server_per_step_s == pytest.approx(0.002, rel=1e-3)
    assert found.latency_s == pytest.approx([0.003] * 4, rel=0.1)
    assert found.workers_per_host is None


def test_work_is_found_although_workers_share_cores(record: Record) -> None:
    run = record(simulate=MACHINE | SHARED)
    assert run.gradients.compute_s.mean() > 0.026  # of 0.02 on a core of its own
    found = machine(run)
    assert found.compute_per_sample_s == pytest.approx(0.001, rel=0.02)
    assert (found.workers_per_host, found.cores_per_host) == (4, 2)


def test_jitter_and_slow_workers_are_told_apart(record: Record) -> None:
    jitter = {"distribution": "lognormal", "sigma": 0.3}
    slow = MACHINE | {"slowness": [1.0, 1.0, 1.0, 2.0], "jitter": jitter}
    found = machine(record(simulate=slow, gradients=4000))
    relative = np.array(found.slowness) / found.slowness[0]
    assert relative == pytest.approx([1, 1, 1, 2], rel=0.05)
    assert np.log(found.jitter.factors).std() == pytest.approx(0.3, rel=0.1)
    assert np.mean(found.jitter.factors) == pytest.approx(1, rel=1e-3)


def test_latency_of_each_worker_is_found_under_every_after_push(record: Record) -> None:
    uneven = {"distribution": "exponential"}
    latencies = MACHINE | {"latency_s": [0.001, 0.002, 0.004, 0.008], "jitter": uneven}
    constant = {"schedule": "constant", "value": 3}
    for method in (
        {"preset": "async"},
        {"preset": "sync"},
        {"preset": "k-sync", "threshold": constant},
        {"preset": "rennala", "threshold": constant},
        {"preset": "k-batch-async", "threshold": constant},
    ):
        found = machine(record(method=method, simulate=latencies))
        assert found.latency_s == pytest.approx([0.001, 0.002, 0.004, 0.008], rel=0.15), method


def test_fixed_time_is_told_from_time_per_sample_where_batches_differ(record: Record) -> None:
    uneven = MACHINE | {"learning": True, "compute_fixed_s": 0.01, "workers": 2}
    data = {
        "dataset": "synthetic",
        "batch_size": 20,
        "last_batch": "keep",
        "options": {"samples": 70, "shape": [1, 28, 28], "classes": 2},
    }
    run = record(simulate=uneven, data=data, gradients=60)
    assert set(run.gradients.samples) == {20, 15}
    found = machine(run)
    assert found.compute_fixed_s == pytest.approx(0.01, rel=0.05)
    assert found.compute_per_sample_s == pytest.approx(0.001, rel=0.05)


def test_runs_with_messages_of_other_sizes_tell_latency_from_bandwidth(record: Record) -> None:
    def run(num_bytes: int) -> Run:
        limited = {"bandwidth_bytes_per_s": [1e8], "message_bytes": num_bytes}
        made = record(method={"preset": "async"}, simulate=MACHINE | limited)
        return replace(made, layout={**made.layout, "size": (num_bytes - 64) // 4})

    small, large = run(100_064), run(400_064)
    assert machine(large).latency_s == pytest.approx([0.007] * 4, rel=0.1)
    found = machine(large, small)
    assert found.latency_s == pytest.approx([0.003] * 4, rel=0.1)
    assert found.bandwidth_bytes_per_s == pytest.approx([1e8], rel=0.05)


def test_delays_are_found_as_they_were_drawn(record: Record) -> None:
    run = record(delays={"fraction": 0.5, "min_s": 0.01, "max_s": 0.05}, method={"preset": "async"})
    found = fit(run)
    delayed = found.timeline.drawn_delay_s > 0
    assert set(run.gradients.worker[delayed]) == set(run.workers["rank"][run.workers.delayed])
    difference = (found.timeline.delay_s - found.timeline.drawn_delay_s)[
        np.isfinite(found.timeline.delay_s)
    ]
    assert np.abs(difference).max() < 0.01
    assert abs(difference.mean()) < 0.001
    assert found.section.compute_per_sample_s == pytest.approx(0.001, rel=1e-3)


def test_asynchronous_run_gives_all_of_the_servers_time_per_step(record: Record) -> None:
    found = machine(record(method={"preset": "async"}))
    assert found.server_per_gradient_s == 0
    assert found.server_per_step_s == pytest.approx(0.0025, rel=1e-3)


def test_check_compares_the_recorded_run_with_one_on_the_fitted_machine(record: Record) -> None:
    run = record(simulate=MACHINE | SHARED, delays={"fraction": 0.5, "max_s": 0.02})
    job = parse_job(run.config, "test")
    rows = compare(run, job, calibrate(run, job))
    assert {row.part for row in rows} == {
        *("compute", "cores", "messages", "server", "delays", "all"),
    }
    for row in rows:
        assert abs(row.difference) < 0.05, row
    rate = next(row for row in rows if row.quantity == "gradients")
    assert rate.recorded == pytest.approx(len(run.gradients) / run.duration_s)


def test_simulated_run_is_refused(record: Record) -> None:
    run = record()
    attributes = Attributes(run.path, {**run.attributes, "engine": "simulate"})
    simulated = replace(run, attributes=attributes)
    with pytest.raises(UserError, match="is a simulated run"):
        fit(simulated)


def test_too_short_a_run_is_refused(record: Record) -> None:
    with pytest.raises(UserError, match="needs 10 of each worker"):
        fit(record(gradients=30))
