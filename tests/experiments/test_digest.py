from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hybridmpi.config.load import parse_job
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.experiments.digest import NUM_BINS, digest, digest_files
from hybridmpi.runlog.reader import read_run
from hybridmpi.runlog.schema import GRADIENTS
from hybridmpi.runlog.writer import RunWriter


def test_outcomes_are_those_worked_by_hand(small_run: Path) -> None:
    outcomes = digest(read_run(small_run)).outcomes
    # 10 s from 0.1 to 0.5, 20 s from 0.5 to 0.6: (3 + 11) / 30
    assert outcomes["test_accuracy"] == pytest.approx(14 / 30)
    assert (outcomes["test_accuracy_end"], outcomes["test_accuracy_best"]) == (0.6, 0.6)
    assert outcomes["train_loss_best"] == pytest.approx(1.4)
    assert (outcomes["gradients"], outcomes["steps"], outcomes["discarded"]) == (5, 2, 1)
    assert outcomes["mean_staleness"] == pytest.approx(2 / 5)
    assert outcomes["worker_seconds"] == 60
    assert outcomes["waiting_share"] == pytest.approx((6 + 0.5) / 60)


def test_evaluations_say_what_had_been_spent_by_then(new_run: Callable[..., RunWriter]) -> None:
    writer = new_run()
    rows = np.zeros(4, GRADIENTS.dtype)
    rows["time_s"], rows["worker"] = (1, 8, 9, 29), 1
    writer.append(GRADIENTS, rows)
    for time_s in (0.0, 8.0, 30.0):
        writer.evaluation(
            time_s, 0, 0.0, {"train_loss": 1.0, "test_loss": 1.0, "test_accuracy": 0.5}
        )
    writer.close("complete", duration_s=30.0, bytes_sent=400)
    evaluations = digest(read_run(writer.path)).evaluations
    assert evaluations.gradients.tolist() == [0, 2, 4]  # the one at 8 s counts
    assert evaluations.bytes_sent.tolist() == [0, 200, 400]
    assert evaluations.worker_seconds.tolist() == [0, 16, 60]


def test_bytes_are_unknown_while_the_run_file_does_not_say(small_run: Path) -> None:
    found = digest(read_run(small_run))
    assert np.isnan(found.outcomes["bytes_sent"])
    assert found.evaluations.bytes_sent.isna().all()


def test_workers_have_their_own_rows(small_run: Path) -> None:
    workers = digest(read_run(small_run)).workers
    assert workers["rank"].tolist() == [1, 2]
    assert workers.delayed.tolist() == [False, True]
    assert workers.gradients.tolist() == [3, 2]
    assert workers.waiting_share.tolist() == pytest.approx([6 / 30, 0.5 / 30])


def test_course_keeps_a_threshold_until_the_next_step(small_run: Path) -> None:
    course = digest(read_run(small_run)).course
    assert (len(course), course.time_s.iloc[-1]) == (NUM_BINS, 30)
    at = course.set_index(course.time_s.round(6)).threshold
    assert np.isnan(at[0.9])  # before the first step
    assert (at[1.2], at[11.7], at[12.3], at[30.0]) == (1, 1, 2, 2)
    assert course.gradients_per_s.sum() * 0.3 == pytest.approx(5)
    assert course.steps_per_s.sum() * 0.3 == pytest.approx(2)


def test_staleness_is_counted(small_run: Path) -> None:
    assert digest(read_run(small_run)).staleness_counts.tolist() == [3, 2]


def test_run_that_has_just_begun_has_a_digest(new_run: Callable[..., RunWriter]) -> None:
    found = digest(read_run(new_run().path))
    assert (found.status, found.duration_s, found.outcomes["gradients"]) == ("running", 0, 0)
    assert np.isnan(found.outcomes["test_accuracy"])
    assert found.course.empty


def test_files_that_cannot_be_read_are_told_and_the_others_read(
    small_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.h5").write_text("no run")
    digests, unreadable = digest_files([small_run, tmp_path / "text.h5", tmp_path / "gone.h5"])
    assert list(digests) == [small_run]
    assert "is not an HDF5 file" in unreadable[0]
    assert "is not there" in unreadable[1]


def test_digest_of_a_simulated_run_agrees_with_its_file(tmp_path: Path) -> None:
    job = {
        "run": {"time_limit_s": 4.0},
        "method": {"preset": "async"},
        "data": {"dataset": "digits", "batch_size": 8},
        "evaluation": {"every_s": 1.0},
        "simulate": {"workers": 3, "compute_per_sample_s": 0.05},
    }
    Simulation(parse_job(job, "test")).run(tmp_path / "run.h5")
    run = read_run(tmp_path / "run.h5")
    found = digest(run)
    assert found.engine == "simulate"
    assert found.evaluations.time_s.tolist() == [0, 1, 2, 3, 4]
    assert found.evaluations.gradients.iloc[-1] == len(run.gradients) > 0
    assert found.evaluations.bytes_sent.iloc[-1] == pytest.approx(run.attributes["bytes_sent"])
    assert found.workers.gradients.sum() == len(run.gradients)
    assert found.outcomes["test_loss"] == run.interval_mean("test_loss")
