"""Whole simulated runs: times worked out by hand, and the same bits on every run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from torch import Tensor, nn

from hybridmpi import read_run
from hybridmpi.config import Job
from hybridmpi.config.load import parse_job
from hybridmpi.core.presets import PRESETS
from hybridmpi.engines.learners import Learners
from hybridmpi.engines.replay import replay
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.engines.simulate.times import Times
from hybridmpi.engines.status import Status
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.learning.evaluation import evaluate
from hybridmpi.runlog.run import Run

WORKERS = 4
BREAKS_AT = 13
Simulate = Callable[..., Run]
GROWING = {"schedule": "step", "initial": 1, "increment": 1, "every": 10}
SHRINKING = {"schedule": "step", "initial": 4, "increment": -1, "every": 10}
LEARNING = {
    "learning": True,
    "compute_per_sample_s": 0.125,
    "jitter": {"distribution": "exponential"},
    "latency_s": [0.05],
    "loss": [0.1],
}


def softmax(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Return a user's own model."""
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))


class Breaking(nn.Sequential):
    """Computes so many batches, and no more."""

    computed = 0

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and self.computed == BREAKS_AT:
            raise ArithmeticError("this batch cannot be computed")
        self.computed += self.training
        output: Tensor = super().forward(inputs)
        return output


def breaking(shape: tuple[int, int, int], classes: int) -> nn.Module:
    return Breaking(softmax(shape, classes))


def method_of(preset: str) -> dict[str, Any]:
    """Return a method with thresholds that make it differ from the other presets."""
    method: dict[str, Any] = {"preset": preset}
    if PRESETS[preset].constant:
        method["threshold"] = {"schedule": "constant", "value": 2}
    elif preset.endswith("hybrid"):
        method["threshold"] = GROWING if preset == "hybrid" else SHRINKING
    if preset == "ringmaster":
        method["stale"] = {"rule": "discard", "limit": 2}
    return method


def job(preset: str = "async", **sections: Mapping[str, Any]) -> Job:
    """Return a job without learning whose gradients take one second, with fields replaced."""
    tree: dict[str, dict[str, Any]] = {
        "run": {"gradient_limit": 40},
        "method": method_of(preset),
        "data": {
            "dataset": "synthetic",
            "batch_size": 8,
            "options": {"samples": 120, "shape": [1, 3, 3], "classes": 3},
        },
        "model": {"name": f"{__name__}:softmax"},
        "optimizer": {"learning_rate": 0.1},
        "simulate": {
            "workers": WORKERS,
            "learning": False,
            "compute_fixed_s": 1.0,
            "compute_per_sample_s": 0.0,
        },
    }
    for name, fields in sections.items():
        tree[name] = tree.get(name, {}) | dict(fields)
    return parse_job(tree, "job")


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    """Return a function that simulates a job, and returns its run."""

    def run(*given: Any, **sections: Any) -> Run:
        path = tmp_path / "run.h5"
        Simulation(job(*given, **sections)).run(path, force=True)
        return read_run(path)

    return run


def by_worker(run: Run, column: str = "time_s") -> list[list[Any]]:
    """Return a column of the gradients, worker by worker."""
    columns = run.gradients.groupby("worker")[column]
    return [columns.get_group(worker).tolist() for worker in sorted(columns.groups)]


def events(run: Run, *kinds: str) -> list[list[Any]]:
    """Return time, kind and worker of events of these kinds, in the order of time."""
    chosen = run.events[run.events.kind.isin(kinds)].sort_values("time_s", kind="stable")
    return chosen[["time_s", "kind", "worker"]].to_numpy().tolist()  # type: ignore[no-any-return]


def assert_same(first: Run, second: Run) -> None:
    for table in ("gradients", "steps", "evaluations", "workers", "events"):
        assert_frame_equal(getattr(first, table), getattr(second, table), check_exact=True)
    assert first.attributes["content_sha256"] == second.attributes["content_sha256"]
    assert first.final is not None
    assert second.final is not None
    assert first.final.tobytes() == second.final.tobytes()


@pytest.mark.parametrize("preset", ["hybrid", "k-sync"])
def test_the_same_job_has_the_same_tables_and_bits(simulate: Simulate, preset: str) -> None:
    sections = {
        "simulate": LEARNING,
        "evaluation": {"every_s": 2.0},
        "delays": {"fraction": 0.5, "max_s": 1.0},
    }
    first, second = (simulate(preset, run={"seed": 3}, **sections) for _ in range(2))
    assert len(first.evaluations) > 3
    assert_same(first, second)
    other = simulate(preset, run={"seed": 4}, **sections)
    assert first.gradients.time_s.tolist() != other.gradients.time_s.tolist()
    assert first.attributes["content_sha256"] != other.attributes["content_sha256"]
    assert first.final is not None
    assert other.final is not None
    assert first.final.tobytes() != other.final.tobytes()


def test_run_is_evaluated_on_the_samples_that_are_held_out(simulate: Simulate) -> None:
    run = simulate("hybrid", simulate=LEARNING, data={"validation": 0.25})
    assert run.attributes["evaluated_on"] == "validation"
    assert run.attributes["training_samples"] == run.workers.shard_size.sum() == 90
    learners = Learners(parse_job(run.config, "run"), WORKERS)
    _, held_out = learners.evaluation
    assert run.final is not None
    last = evaluate(learners.model, learners.problem, torch.from_numpy(run.final), held_out)
    assert len(held_out) == 30
    assert run.evaluations.test_loss.iloc[-1] == last["loss"]
    assert run.evaluations.test_accuracy.iloc[-1] == last["accuracy"]
    assert replay(run, parse_job(run.config, "run")).is_match


@pytest.mark.parametrize("preset", PRESETS)
def test_every_gradient_is_accounted_for(simulate: Simulate, preset: str) -> None:
    run = simulate(preset, simulate=LEARNING)
    count = run.accounting()
    assert count.pushed == 40
    assert count.pushed == count.stepped + count.discarded + count.buffered
    assert count.stepped == run.steps.gradients.sum() > 10
    assert run.final_version == len(run.steps)
    assert events(run, "end") == [[run.duration_s, "end", 0]]
    discards = {"m-sync", "k-sync", "rennala", "ringmaster"}
    has_cancelled = bool(events(run, "cancelled"))
    assert (count.discarded > 0 or has_cancelled) == (preset in discards)


@pytest.mark.parametrize("preset", PRESETS)
def test_gradients_are_computed_at_the_version_of_their_release(
    simulate: Simulate, preset: str, tmp_path: Path
) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("time_s,worker,event\n1.5,2,leave\n4.25,2,join\n6,1,leave\n")
    run = simulate(preset, simulate={**LEARNING, "trace": str(path)})
    verdict = replay(run, parse_job(run.config, "run"))
    assert verdict.first_difference == ""
    assert verdict.equal_losses == verdict.gradients == 40
    assert verdict.largest_parameter_difference == 0


def test_with_one_worker_every_method_has_the_same_bits(simulate: Simulate) -> None:
    finals = set()
    for preset in PRESETS:
        one = {**LEARNING, "workers": 1}
        run = simulate(preset, run={"gradient_limit": 25}, simulate=one)
        assert run.final is not None
        finals.add(run.final.tobytes())
    assert len(finals) == 1


def test_two_methods_with_one_seed_face_the_same_world(simulate: Simulate) -> None:
    runs = [simulate(preset, simulate=LEARNING) for preset in ("sync", "async", "k-batch-async")]
    tables = [run.gradients.set_index(["worker", "batch"]) for run in runs]
    common = tables[0].index.intersection(tables[1].index).intersection(tables[2].index)
    assert len(common) > 10
    for column in ("compute_s", "samples"):
        values = {tuple(table.loc[common, column]) for table in tables}
        assert len(values) == 1


def test_compute_times_do_not_depend_on_the_number_of_workers(simulate: Simulate) -> None:
    jitter = {"jitter": {"distribution": "lognormal", "sigma": 1.0}}
    few = by_worker(simulate(simulate={**jitter, "workers": 2}), "compute_s")
    many = by_worker(simulate(simulate={**jitter, "workers": 8}), "compute_s")
    for worker in range(2):
        count = min(len(few[worker]), len(many[worker]))
        assert count > 1
        assert few[worker][:count] == many[worker][:count]


def test_workers_that_are_alike_push_in_the_order_of_their_numbers(simulate: Simulate) -> None:
    run = simulate()
    assert run.gradients.worker.tolist() == [1, 2, 3, 4] * 10
    assert run.gradients.time_s.tolist() == [second for second in range(1, 11) for _ in range(4)]
    assert run.steps.time_s.tolist() == run.gradients.time_s.tolist()
    assert run.gradients.staleness.tolist() == [0, 1, 2] + [3] * 37


def test_sync_takes_one_step_per_round_on_fresh_gradients(simulate: Simulate) -> None:
    run = simulate("sync")
    assert run.steps.time_s.tolist() == list(range(1, 11))
    assert set(run.steps.gradients) == set(run.steps.threshold) == {4}
    assert set(run.gradients.staleness) == {0}
    assert run.gradients.worker.tolist() == [1, 2, 3, 4] * 10


def test_fresh_gradients_change_what_is_learned_and_no_time(simulate: Simulate) -> None:
    stale, fresh = (
        simulate(simulate={**LEARNING, "fresh_gradients": fresh}) for fresh in (False, True)
    )
    timing = ["time_s", "worker", "batch", "version", "staleness", "step"]
    assert_frame_equal(stale.gradients[timing], fresh.gradients[timing], check_exact=True)
    assert stale.gradients.loss[0] == fresh.gradients.loss[0]
    assert stale.gradients.loss[1] != fresh.gradients.loss[1]
    assert replay(fresh, parse_job(fresh.config, "run")).is_match


def test_fresh_gradients_change_nothing_where_none_is_stale(simulate: Simulate) -> None:
    plain = simulate("sync", simulate=LEARNING)
    fresh = simulate("sync", simulate={**LEARNING, "fresh_gradients": True})
    assert_frame_equal(plain.gradients, fresh.gradients, check_exact=True)


def test_latency_and_bandwidth_shift_arrivals(simulate: Simulate) -> None:
    machine = {"latency_s": [0.25], "bandwidth_bytes_per_s": [1000.0], "message_bytes": 500}
    run = simulate(simulate=machine)
    assert by_worker(run) == [[2.5 * n for n in range(1, 11)]] * 4
    assert set(run.gradients.compute_s) == {1.0}
    assert run.gradients.wait_s.tolist() == [0.75] * 4 + [1.5] * 36


def test_messages_are_as_large_as_the_model(simulate: Simulate) -> None:
    machine = {"learning": True, "bandwidth_bytes_per_s": [1000.0]}
    run = simulate(simulate=machine, run={"gradient_limit": 8})
    message_s = (64 + 4 * run.layout["size"]) / 1000
    assert by_worker(run)[0] == pytest.approx([1 + 2 * message_s, 2 + 4 * message_s], abs=1e-8)


def test_server_is_busy_with_each_push(simulate: Simulate) -> None:
    run = simulate(simulate={"server_per_gradient_s": 0.125}, run={"gradient_limit": 8})
    first = [1.0, 1.125, 1.25, 1.375]
    assert run.gradients.time_s.tolist() == first + [time_s + 1.125 for time_s in first]


def test_server_is_busy_with_each_step(simulate: Simulate) -> None:
    machine = {"server_per_gradient_s": 0.125, "server_per_step_s": 0.5, "workers": 2}
    run = simulate("sync", simulate=machine, run={"gradient_limit": 6})
    assert run.gradients.time_s.tolist() == [1.0, 1.125, 2.75, 2.875, 4.5, 4.625]
    assert run.gradients.wait_s.tolist() == [0.0] * 2 + [0.75] * 4


def test_pushes_queue_up_behind_steps(simulate: Simulate) -> None:
    run = simulate(simulate={"server_per_step_s": 0.5}, run={"gradient_limit": 6})
    assert run.gradients.time_s.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    assert run.gradients.worker.tolist() == [1, 2, 3, 4, 1, 2]


def test_lost_messages_delay_by_multiples_of_the_time_to_send_again(simulate: Simulate) -> None:
    run = simulate(simulate={"workers": 1, "loss": [0.5], "resend_s": 10.0})
    lost, computed = np.divmod(np.diff(run.gradients.time_s, prepend=0.0), 10.0)
    assert set(computed) == {1.0}
    assert lost.min() == 0
    assert lost.mean() == pytest.approx(2.0, abs=1.0)


def test_delays_slow_only_the_delayed_workers(simulate: Simulate) -> None:
    run = simulate(delays={"fraction": 0.5, "min_s": 3.0, "max_s": 3.0})
    assert run.workers.delayed.sum() == 2
    for is_delayed, times in zip(run.workers.delayed, by_worker(run), strict=True):
        period = 4 if is_delayed else 1
        assert times == [period * n for n in range(1, len(times) + 1)]
    assert set(run.gradients.compute_s) == {1.0}


def test_slow_workers_take_longer_and_the_others_wait(simulate: Simulate) -> None:
    slow = {"slowness": [1.0, 2.0]}
    times = by_worker(simulate(simulate=slow))
    assert [worker[:3] for worker in times] == [[1, 2, 3], [2, 4, 6]] * 2
    waits = by_worker(simulate("sync", simulate=slow), "wait_s")
    assert waits == [[0.0] + [1.0] * 9, [0.0] * 10] * 2


@pytest.mark.parametrize(("cores", "second_s"), [(1, 4), (2, 2), (4, 1), (9, 1)])
def test_workers_that_share_too_few_cores_are_slower(
    simulate: Simulate, cores: int, second_s: int
) -> None:
    run = simulate(simulate={"workers_per_host": 4, "cores_per_host": cores})
    assert by_worker(run) == [[second_s * n for n in range(1, 11)]] * 4
    assert set(run.gradients.compute_s) == {second_s}


def test_time_limit_ends_the_run_and_what_comes_then_is_late(simulate: Simulate) -> None:
    run = simulate(run={"gradient_limit": 1000, "time_limit_s": 3.0})
    assert run.gradients.time_s.max() == 2.0
    assert run.duration_s == 3.0
    assert events(run, "late") == [[3.0, "late", worker] for worker in range(1, 5)]
    assert run.events[run.events.kind == "end"].detail.tolist() == ["time limit"]


def test_evaluation_takes_no_time(simulate: Simulate) -> None:
    machine = {"learning": True}
    run = simulate(simulate=machine, evaluation={"every_s": 0.5}, run={"time_limit_s": 3.0})
    assert run.evaluations.time_s.tolist() == [0.5 * n for n in range(7)]
    assert run.evaluations.version.tolist() == [0, 0, 0, 4, 4, 8, 8]
    assert by_worker(run) == [[1.0, 2.0]] * 4


def test_time_per_sample_counts_the_samples_of_the_batch(simulate: Simulate) -> None:
    machine = {"learning": True, "compute_fixed_s": 0.0, "compute_per_sample_s": 0.125}
    run = simulate(simulate=machine, run={"gradient_limit": 32})
    assert (run.gradients.compute_s == run.gradients["samples"] * 0.125).all()
    assert by_worker(run, "samples") == [[10] * 8] * 4
    assert run.workers.shard_size.tolist() == [30] * 4


def test_epoch_limit_counts_samples(simulate: Simulate) -> None:
    run = simulate(simulate={"learning": True}, run={"gradient_limit": 1000, "epoch_limit": 2.0})
    assert run.gradients["samples"].sum() == 240


def test_epoch_limit_without_data_is_refused(simulate: Simulate) -> None:
    with pytest.raises(UserError, match=r"epoch_limit counts passes .* set run\.gradient_limit"):
        simulate(run={"epoch_limit": 2.0})


def batches(run: Run) -> dict[int, list[int]]:
    """Return the batches that the run file tells of, by worker, as rows or as events alone."""
    is_passed_over = (run.events.kind == "cancelled") & ~run.events.detail.str.contains("version")
    told = run.events[(run.events.kind == "late") | is_passed_over]
    numbers: dict[int, list[int]] = {worker: [] for worker in run.workers["rank"]}
    for worker, batch in zip(run.gradients.worker, run.gradients.batch, strict=True):
        numbers[worker].append(batch)
    for worker, detail in zip(told.worker, told.detail, strict=True):
        numbers[worker].append(int(detail.split()[1]))
    return {worker: sorted(of_worker) for worker, of_worker in numbers.items()}


def test_cancelled_batches_are_events_and_use_up_their_numbers(simulate: Simulate) -> None:
    run = simulate("k-sync", simulate={"jitter": {"distribution": "exponential"}})
    cancelled = events(run, "cancelled")
    assert len(cancelled) > 5
    assert {worker for _, _, worker in cancelled} == {1, 2, 3, 4}
    assert set(run.gradients.staleness) == {0}
    for numbers in batches(run).values():
        assert numbers == list(range(len(numbers)))


networks = st.fixed_dictionaries(
    {
        "jitter": st.sampled_from([{"distribution": "constant"}, {"distribution": "exponential"}]),
        "latency_s": st.lists(st.sampled_from([0.0, 0.5, 3.0]), min_size=1, max_size=3),
        "loss": st.lists(st.sampled_from([0.0, 0.3, 0.8]), min_size=1, max_size=3),
        "resend_s": st.sampled_from([0.5, 1.0, 4.0]),
        "server_per_gradient_s": st.sampled_from([0.0, 0.25]),
        "workers_per_host": st.sampled_from([None, 2, 3]),
    }
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(preset=st.sampled_from(sorted(PRESETS)), network=networks, seed=st.integers(0, 99))
def test_any_network_ends_the_run_and_every_batch_is_told_of(
    simulate: Simulate, preset: str, network: dict[str, Any], seed: int
) -> None:
    run = simulate(preset, simulate=network, run={"seed": seed})
    count = run.accounting()
    assert count.pushed == count.stepped + count.discarded + count.buffered == 40
    assert run.events[run.events.kind == "end"].detail.tolist() == ["gradient limit"]
    assert run.gradients.time_s.is_monotonic_increasing
    assert (run.gradients.wait_s >= 0).all()
    assert all(numbers == sorted(numbers) for numbers in by_worker(run, "batch"))
    for numbers in batches(run).values():
        assert numbers == list(range(len(numbers)))


@pytest.fixture
def trace(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a trace."""

    def write(*lines: str) -> str:
        path = tmp_path / "trace.csv"
        path.write_text("\n".join(["time_s,worker,event", *lines]))
        return str(path)

    return write


def test_sync_goes_on_with_fewer_workers_and_with_one_that_comes_back(
    simulate: Simulate, trace: Callable[..., str]
) -> None:
    path = trace("2.5,2,leave", "5.25,2,join")
    run = simulate("sync", simulate={"trace": path}, run={"gradient_limit": 25})
    assert events(run, "lost", "joined") == [[2.5, "lost", 2], [5.25, "joined", 2]]
    assert run.steps.time_s.tolist() == [1, 2, 3, 4, 5, 6.25, 7.25]
    assert run.steps.threshold.tolist() == [4, 4, 3, 3, 3, 4, 4]
    assert set(run.gradients.staleness) == {0}
    assert by_worker(run, "batch")[1] == [0, 1, 3, 4]
    assert by_worker(run, "wait_s")[1] == [0, 0, 0, 0]
    cancelled = run.events[run.events.kind == "cancelled"]
    assert cancelled[["worker", "detail"]].to_numpy().tolist() == [[2, "batch 2"]]


def test_step_that_waited_for_a_lost_worker_falls_due(
    simulate: Simulate, trace: Callable[..., str]
) -> None:
    slow = {"slowness": [1.0, 1.0, 1.0, 9.0], "trace": trace("4.5,4,leave")}
    run = simulate("sync", simulate=slow, run={"gradient_limit": 6})
    assert run.steps.time_s.tolist() == [4.5, 5.5]
    assert run.steps.threshold.tolist() == [3, 3]


def test_step_that_falls_due_with_a_loss_behind_the_last_push_is_replayed(
    simulate: Simulate, trace: Callable[..., str]
) -> None:
    slow = {"slowness": [1.0, 1.0, 1.0, 9.0], "trace": trace("4.5,4,leave")}
    run = simulate("sync", simulate={"learning": True, **slow}, run={"time_limit_s": 4.75})
    assert run.steps.time_s.tolist() == [4.5]
    assert run.gradients.time_s.max() < 4.5
    verdict = replay(run, parse_job(run.config, "run"))
    assert (verdict.first_difference, verdict.steps) == ("", 1)


def test_loss_after_the_end_lets_no_step_fall_due_in_a_replay(simulate: Simulate) -> None:
    slow = {"learning": True, "slowness": [1.0, 1.0, 1.0, 9.0]}
    run = simulate("sync", simulate=slow, run={"time_limit_s": 4.5})
    assert run.steps.empty
    late = run.events.iloc[:1].assign(time_s=4.6, kind="lost", worker=4, gradients=3)
    object.__setattr__(run, "events", pd.concat([late, run.events]))
    verdict = replay(run, parse_job(run.config, "run"))
    assert (verdict.first_difference, verdict.steps) == ("", 0)


def test_worker_that_joins_later_is_not_there_at_the_start(
    simulate: Simulate, trace: Callable[..., str]
) -> None:
    run = simulate(simulate={"trace": trace("3.5,1,join")}, run={"gradient_limit": 21})
    assert by_worker(run)[0] == [4.5, 5.5, 6.5]
    assert by_worker(run, "wait_s")[0] == [0.0] * 3
    assert run.gradients.worker.tolist()[:6] == [2, 3, 4] * 2


def test_worker_that_leaves_while_delayed_has_not_waited_when_it_is_back(
    simulate: Simulate, trace: Callable[..., str]
) -> None:
    delays = {"fraction": 1.0, "min_s": 5.0, "max_s": 5.0}
    path = trace("2,2,leave", "3,2,join")
    run = simulate("async", delays=delays, simulate={"trace": path}, run={"gradient_limit": 8})
    assert by_worker(run)[1][0] == 9.0
    assert (run.gradients.wait_s >= 0).all()


def test_wrong_trace_is_refused_before_the_run(
    simulate: Simulate, trace: Callable[..., str]
) -> None:
    with pytest.raises(UserError, match="worker 2 leaves at 3 s, but is not there"):
        simulate(simulate={"trace": trace("2,2,leave", "3,2,leave")})


@pytest.mark.parametrize("preset", ["sync", "async", "hybrid", "k-batch-async", "rennala"])
def test_no_more_versions_are_kept_than_workers_hold(preset: str, tmp_path: Path) -> None:
    kept: list[int] = []

    class Watching:
        def __init__(self, times: Times) -> None:
            self.delay_ns, self.down_ns, self.up_ns = times.delay_ns, times.down_ns, times.up_ns
            self._times = times

        def compute_ns(self, worker: int, batch: int, samples: int) -> int:
            kept.append(len(simulation.versions))
            return self._times.compute_ns(worker, batch, samples)

    described = job(preset, simulate=LEARNING, run={"gradient_limit": 60})
    simulation = Simulation(described, times=Watching)
    simulation.run(tmp_path / "run.h5")
    assert len(kept) >= 60
    assert max(kept) <= WORKERS + 1
    assert (max(kept) > 1) == (preset != "sync")
    assert len(simulation.versions) == 1


def test_run_without_learning_has_no_parameters_and_no_evaluations(simulate: Simulate) -> None:
    run = simulate("hybrid")
    assert run.layout["size"] == 0
    assert run.evaluations.empty
    assert run.gradients.loss.isna().all()


def test_learning_lowers_the_loss_and_damping_changes_the_bits(simulate: Simulate) -> None:
    runs = []
    for stale in ("accept", "inverse", "inverse-sqrt"):
        method = {"stale": {"rule": stale}}
        runs.append(simulate(method={"preset": "async", **method}, simulate={"learning": True}))
        first, last = runs[-1].evaluations.train_loss.iloc[[0, -1]]
        assert last < first
    weights = [set(run.gradients.weight.round(6)) for run in runs]
    assert weights == [{1.0}, {1.0, 0.5, round(1 / 3, 6)}, {1.0, 0.707107, 0.57735, 0.5}]
    assert len({run.final.tobytes() for run in runs if run.final is not None}) == 3


def test_interrupted_run_is_stopped(tmp_path: Path) -> None:
    outcome = Simulation(job()).run(tmp_path / "run.h5", interrupted=lambda: "signal SIGTERM")
    run = read_run(tmp_path / "run.h5")
    assert (outcome.status, outcome.reason) == ("stopped", "signal SIGTERM")
    assert run.status == "stopped"
    assert run.accounting().pushed < 40


def test_run_whose_evaluation_is_interrupted_is_not_complete(tmp_path: Path) -> None:
    phases = []

    def interrupted() -> str:
        return "signal SIGTERM" if phases[-1:] == ["evaluating"] else ""

    outcome = Simulation(job(simulate={"learning": True})).run(
        tmp_path / "run.h5",
        interrupted=interrupted,
        report=lambda status: phases.append(status.phase),
    )
    run = read_run(tmp_path / "run.h5")
    assert run.accounting().pushed == 40  # training was over
    assert len(run.evaluations) == 0
    assert (outcome.status, run.status) == ("stopped", "stopped")


def test_workers_that_compute_when_a_run_is_interrupted_push_late(tmp_path: Path) -> None:
    Simulation(job()).run(tmp_path / "run.h5", interrupted=lambda: "signal SIGTERM")
    run = read_run(tmp_path / "run.h5")
    assert run.duration_s == 1.0
    assert events(run, "late") == [[1.0, "late", worker] for worker in (2, 3, 4)] + [
        [2.0, "late", 1]
    ]


def test_run_fails_after_gradients_that_are_not_finite(tmp_path: Path) -> None:
    broken = job(simulate={"learning": True}, optimizer={"learning_rate": 1e38, "momentum": 0.9})
    with pytest.raises(RunFailed, match="10 gradients in a row held NaN or infinity"):
        Simulation(broken).run(tmp_path / "run.h5")
    run = read_run(tmp_path / "run.h5")
    assert run.status == "failed"
    assert run.events.kind.tolist().count("non-finite") == 10


def test_run_that_breaks_while_it_reports_is_closed_as_failed(tmp_path: Path) -> None:
    def report(status: Status) -> None:
        raise ZeroDivisionError(f"no report of {status.phase}")

    with pytest.raises(ZeroDivisionError):
        Simulation(job()).run(tmp_path / "run.h5", report=report)
    run = read_run(tmp_path / "run.h5")
    assert run.status == "failed"
    assert run.attributes["error"] == "no report of training"
    assert run.final is None


def test_run_whose_model_breaks_is_closed_as_failed_with_what_was_pushed(tmp_path: Path) -> None:
    described = job(simulate={"learning": True}, model={"name": f"{__name__}:breaking"})
    with pytest.raises(ArithmeticError):
        Simulation(described).run(tmp_path / "run.h5")
    run = read_run(tmp_path / "run.h5")
    assert run.status == "failed"
    assert run.attributes["error"] == "this batch cannot be computed"
    assert run.accounting().pushed == run.accounting().stepped == BREAKS_AT


def test_run_file_that_cannot_be_closed_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> str:
        raise OSError("the disk is gone")

    monkeypatch.setattr("hybridmpi.runlog.writer.content_hash", refuse)
    with pytest.raises(RunFailed, match=r"writing the run file .* failed: the disk is gone"):
        Simulation(job()).run(tmp_path / "run.h5")
