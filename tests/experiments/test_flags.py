import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hybridmpi.experiments.flags import flags_of
from hybridmpi.runlog.reader import read_run
from hybridmpi.runlog.run import Run
from hybridmpi.runlog.writer import RunWriter

NAN, INF = float("nan"), float("inf")
NewRun = Callable[..., RunWriter]


def run_with(
    new_run: NewRun,
    accuracies: Sequence[float],
    losses: Sequence[float],
    *,
    classes: int = 10,
    status: str = "complete",
    event: str = "",
    engine: str = "simulate",
) -> Run:
    """Return a run of a classifier; evaluated on its training subset with these losses."""
    entry = {"name": "b", "shape": [classes], "offset": 0, "dtype": "float32", "is_parameter": True}
    buffer = entry | {"name": "seen", "shape": [], "is_parameter": False}
    layout = json.dumps({"num_parameters": 6, "size": 7, "entries": [entry, buffer]})
    writer = new_run(layout_json=layout, attributes={"engine": engine})
    for i, (accuracy, loss) in enumerate(zip(accuracies, losses, strict=True)):
        writer.evaluation(
            float(i), i, 0.0, {"train_loss": loss, "test_loss": 2.3, "test_accuracy": accuracy}
        )
    if event:
        writer.event(1.0, event, 1, "loss NaN", 3)
    writer.close(status, duration_s=3.0)
    return read_run(writer.path)


def test_run_that_learns_has_no_flag(new_run: NewRun) -> None:
    assert flags_of(run_with(new_run, [0.1, 0.5], [2.3, 1.0])) == ()


@pytest.mark.parametrize("loss", [NAN, INF, 5.0])
def test_loss_that_is_not_finite_or_far_above_its_start_is_flagged(
    new_run: NewRun, loss: float
) -> None:
    assert flags_of(run_with(new_run, [0.1, 0.5], [2.3, loss])) == ("diverged",)


def test_loss_that_rises_and_comes_back_is_not_flagged(new_run: NewRun) -> None:
    assert flags_of(run_with(new_run, [0.1, 0.2, 0.5], [2.3, 9.0, 1.0])) == ()


def test_run_that_failed_for_gradients_that_are_not_finite_is_flagged(new_run: NewRun) -> None:
    assert flags_of(run_with(new_run, [], [], status="failed", event="non-finite")) == ("diverged",)


def test_run_that_failed_for_another_reason_is_not_flagged(new_run: NewRun) -> None:
    assert flags_of(run_with(new_run, [], [], status="failed", event="lost")) == ()


@pytest.mark.parametrize(
    ("classes", "at_chance", "above"), [(10, 0.15, 0.16), (2, 0.55, 0.56), (100, 0.015, 0.02)]
)
def test_accuracy_at_chance_is_flagged(
    new_run: NewRun, tmp_path: Path, classes: int, at_chance: float, above: float
) -> None:
    at = run_with(new_run, [0.0, at_chance], [2.3, 2.3], classes=classes)
    assert flags_of(at) == ("never learned",)
    (tmp_path / "run.h5").unlink()
    assert flags_of(run_with(new_run, [0.0, above], [2.3, 2.3], classes=classes)) == ()


def test_accuracy_that_was_above_chance_by_luck_is_no_divergence(new_run: NewRun) -> None:
    slow = run_with(new_run, [0.1, 0.16, 0.12], [2.31, 2.29, 2.27])
    assert flags_of(slow) == ("never learned",)


def test_accuracy_that_fell_back_to_chance_has_diverged(new_run: NewRun) -> None:
    assert flags_of(run_with(new_run, [0.1, 0.6, 0.1], [2.3, 1.0, 2.3])) == ("diverged",)


def test_run_that_went_on_without_a_worker_is_flagged(new_run: NewRun) -> None:
    run = run_with(new_run, [0.1, 0.5], [2.3, 1.0], event="lost", engine="mpi")
    assert flags_of(run) == ("lost workers",)


def test_simulated_workers_may_leave(new_run: NewRun) -> None:
    run = run_with(new_run, [0.1, 0.5], [2.3, 1.0], event="lost")
    assert flags_of(run) == ()
