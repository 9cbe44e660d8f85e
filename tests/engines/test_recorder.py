from collections.abc import Callable

import pytest

from hybridmpi import read_run
from hybridmpi.core.messages import Discard, DiscardReason, Push, Release, Step
from hybridmpi.engines.recorder import Recorder
from hybridmpi.runlog.run import Run
from hybridmpi.runlog.writer import RunWriter


@pytest.fixture
def writer(new_run: Callable[..., RunWriter]) -> RunWriter:
    return new_run()


def push(worker: int, batch: int, row: int = 0, *, is_finite: bool = True) -> Push:
    return Push(worker, batch, 0, row, float(batch), 32, 0.1, 0.2, is_finite)


def finished(writer: RunWriter) -> Run:
    writer.close("complete")
    return read_run(writer.path)


def discard(recorder: Recorder, discarded: Push, reason: DiscardReason) -> None:
    recorder.push(discarded, 1.0, 0, [Discard(discarded, reason)])


def test_step_resolves_the_rows_of_its_pushes(writer: RunWriter) -> None:
    recorder = Recorder(writer)
    first, second, buffered = push(1, 0, row=3), push(2, 2, row=1), push(1, 1, row=3)
    recorder.push(first, 0.5, 0, [])
    step = Step(1, (first, second), (0.25, 0.75), (0, 2), 2, 0.1)
    recorder.push(second, 1.0, 2, [step, Release((1, 2), 1)])
    recorder.step(step, 1.0)
    recorder.push(buffered, 1.5, 0, [])
    run = finished(writer)
    assert run.gradients.step.tolist() == [1, 1, -1]
    assert run.gradients.weight.tolist() == [0.25, 0.75, 0]
    assert run.steps.loc[0, ["mean_staleness", "max_staleness", "train_loss"]].tolist() == [1, 2, 1]


def test_late_push_is_an_event_and_no_row(writer: RunWriter) -> None:
    recorder = Recorder(writer)
    discard(recorder, push(2, 0), "late")
    run = finished(writer)
    assert run.gradients.empty
    assert run.events[["kind", "worker", "detail"]].to_numpy().tolist() == [["late", 2, "batch 0"]]
    assert recorder.discarded == 0


def test_stale_push_is_a_row_alone(writer: RunWriter) -> None:
    recorder = Recorder(writer)
    discard(recorder, push(1, 0), "stale")
    run = finished(writer)
    assert run.gradients.accepted.tolist() == [False]
    assert run.events.empty
    assert recorder.discarded == 1


def test_batches_that_are_passed_over_were_cancelled(writer: RunWriter) -> None:
    recorder = Recorder(writer)
    recorder.push(push(1, 1), 1.0, 0, [])
    recorder.push(push(2, 0, row=1), 1.0, 0, [])
    recorder.push(push(1, 4, row=2), 2.0, 0, [])
    events = finished(writer).events
    assert set(events.kind) == {"cancelled"}
    assert events.worker.tolist() == [1, 1, 1]
    assert events.detail.tolist() == ["batch 0", "batch 2", "batch 3"]


def test_only_gradients_in_a_row_are_counted_as_such(writer: RunWriter) -> None:
    recorder = Recorder(writer)
    for batch, is_finite in enumerate([False, False, True, False]):
        pushed = push(1, batch, row=batch, is_finite=is_finite)
        instructions = [] if is_finite else [Discard(pushed, "non-finite")]
        recorder.push(pushed, 1.0, 0, instructions)
    assert recorder.non_finite_in_a_row == 1
    assert recorder.discarded == 3
    assert finished(writer).events.kind.tolist() == ["non-finite"] * 3
