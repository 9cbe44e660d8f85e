from collections.abc import Callable

import pytest
from pandas.testing import assert_frame_equal

from hybridmpi import read_run
from hybridmpi.core.messages import Discard, DiscardReason, Push, Release, Step
from hybridmpi.core.schedule import constant, linear, over
from hybridmpi.core.server import Limits, Method, ParameterServer
from hybridmpi.core.staleness import discard_from
from hybridmpi.engines.recorder import Recorder
from hybridmpi.runlog.run import Run
from hybridmpi.runlog.writer import RunWriter


@pytest.fixture
def writer(new_run: Callable[..., RunWriter]) -> RunWriter:
    return new_run()


def push(worker: int, batch: int, row: int = 0, *, is_finite: bool = True) -> Push:
    return Push(worker, batch, 0, row, float(batch), 32, 0.1, 0.2, is_finite)


def finished(recorder: Recorder, writer: RunWriter) -> Run:
    recorder.close("complete")
    return read_run(writer.path)


def discard(recorder: Recorder, discarded: Push, reason: DiscardReason) -> None:
    recorder.push(discarded, 1.0, 0, [Discard(discarded, reason)])


def test_step_resolves_the_rows_of_its_pushes(writer: RunWriter) -> None:
    recorder = Recorder(writer)
    first, second, buffered = push(1, 0, row=3), push(2, 2, row=1), push(1, 1, row=3)
    recorder.push(first, 0.5, 0, [])
    step = Step(1, (first, second), (0.25, 0.75), (0, 1), 2, 0.1, 0.25)
    recorder.push(second, 1.0, 1, [step, Release((1, 2), 1)])
    recorder.step(step, 1.0)
    recorder.push(buffered, 1.5, 0, [])
    run = finished(recorder, writer)
    assert run.gradients.step.tolist() == [1, 1, -1]
    assert run.gradients.weight.tolist() == [0.25, 0.75, 0]
    columns = ["mean_staleness", "max_staleness", "train_loss"]
    assert run.steps.loc[0, columns].tolist() == [0.5, 1, 1]


def test_late_push_is_an_event_and_no_row(writer: RunWriter) -> None:
    recorder = Recorder(writer)
    discard(recorder, push(2, 0), "late")
    run = finished(recorder, writer)
    assert run.gradients.empty
    assert run.events[["kind", "worker", "detail"]].to_numpy().tolist() == [
        ["late", 2, "batch 0 at version 0, loss 0"]
    ]
    assert recorder.discarded == 0


def test_stale_push_is_a_row_alone(writer: RunWriter) -> None:
    recorder = Recorder(writer)
    discard(recorder, push(1, 0), "stale")
    run = finished(recorder, writer)
    assert run.gradients.accepted.tolist() == [False]
    assert run.events.empty
    assert recorder.discarded == 1


def test_batches_that_are_passed_over_were_cancelled(writer: RunWriter) -> None:
    recorder = Recorder(writer)
    recorder.push(push(1, 1), 1.0, 0, [])
    recorder.push(push(2, 0, row=1), 1.0, 0, [])
    recorder.push(push(1, 4, row=2), 2.0, 0, [])
    events = finished(recorder, writer).events
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
    assert finished(recorder, writer).events.kind.tolist() == ["non-finite"] * 3


def test_rows_do_not_depend_on_when_they_are_flushed(new_run: Callable[..., RunWriter]) -> None:
    """Drive one protocol, and flush after every push, now and then, or never."""
    runs, workers = [], [(rank, "host", "cpu", 100, False) for rank in range(1, 6)]
    for every in (1, 3, 7, 1000):
        writer = new_run(force=True, workers=workers)
        recorder = Recorder(writer)
        method = Method(
            over("gradients", linear(1, 0.2)), over("steps", constant(0.1)), stale=discard_from(2)
        )
        server = ParameterServer(method, Limits(gradients=41), range(1, 6))
        computing = {w: 0 for release in server.start() for w in release.workers}
        for n in range(60):
            worker = sorted(computing)[n * n % len(computing)]
            pushed = push(worker, n, row=n)._replace(
                version=computing.pop(worker), is_finite=n % 11 != 5
            )
            staleness = server.version - pushed.version
            instructions = server.receive(pushed, n / 10)
            recorder.push(pushed, n / 10, staleness, instructions)
            for instruction in instructions:
                if isinstance(instruction, Step):
                    recorder.step(instruction, n / 10)
                if isinstance(instruction, Release):
                    computing |= dict.fromkeys(instruction.workers, server.version)
            if n % every == 0:
                recorder.flush()
            if n == 30:
                recorder.event(n / 10, "lost", 3)
            if server.is_finished:
                break
        runs.append(finished(recorder, writer))
    first = runs[0]
    assert {"cancelled", "non-finite", "late", "lost"} <= set(first.events.kind)
    assert first.events.gradients.is_monotonic_increasing
    count = first.accounting()
    assert (count.pushed, count.discarded > 3, count.stepped > 20) == (41, True, True)
    assert first.steps.gradients.max() > 2
    for run in runs[1:]:
        assert_frame_equal(run.gradients, first.gradients)
        assert_frame_equal(run.steps, first.steps)
        assert_frame_equal(run.events, first.events)
    stepped = first.gradients[first.gradients.step >= 0].groupby("step")
    assert stepped.weight.sum().to_numpy() == pytest.approx(1.0)
    assert stepped.size().tolist() == first.steps.gradients.tolist()
    assert stepped.staleness.max().tolist() == first.steps.max_staleness.tolist()
    assert stepped.staleness.mean().tolist() == first.steps.mean_staleness.tolist()
    assert stepped.loss.mean().to_numpy() == pytest.approx(first.steps.train_loss.to_numpy())
