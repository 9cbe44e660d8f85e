import math

import pytest

from hybridmpi.core.messages import Accumulate, Discard, Push, Release, Step, Stop
from hybridmpi.core.schedule import constant, over, step
from hybridmpi.core.server import Limits, Method, ParameterServer, ProtocolError
from hybridmpi.core.staleness import ACCEPT, CANCEL, StalenessRule, discard_from

ANY = over("steps", constant(0.1))


def server(threshold=1.0, workers=3, *, curve=None, limits=None, **method):
    follow = over("gradients", curve or constant(threshold))
    protocol = Method(threshold=follow, learning_rate=ANY, **method)
    made = ParameterServer(protocol, limits or Limits(), range(1, workers + 1))
    made.start()
    return made


def push(worker, version=0, batch=0, *, samples=8, is_finite=True):
    return Push(worker, batch, version, row=worker, loss=1.0, samples=samples, is_finite=is_finite)


def receive(made, pushed, now_s):
    """Return what follows the accumulation of a push that is buffered."""
    instructions = made.receive(pushed, now_s)
    is_buffered = isinstance(instructions[0], Accumulate)
    assert not is_buffered or instructions[0].push == pushed
    return instructions[is_buffered:]


def kinds(instructions):
    return [type(instruction).__name__ for instruction in instructions]


def test_start_releases_all_workers_with_the_initial_parameters():
    made = ParameterServer(Method(over("gradients", constant(1)), ANY), Limits(), [1, 2])
    assert made.start() == [Release((1, 2), version=0, all_wait=True)]


def test_threshold_one_steps_on_every_push_and_releases_its_worker():
    stepped, released = receive(server(1), push(2), 0.0)
    assert stepped == Step(1, (push(2),), (1.0,), (0,), 1, 0.1, 1.0)
    assert released == Release((2,), version=1)


def test_buffered_workers_wait_for_the_step_that_contains_their_push():
    made = server(2)
    assert receive(made, push(3), 0.0) == []
    stepped, released = receive(made, push(1), 0.0)
    assert [p.worker for p in stepped.pushes] == [3, 1]
    assert stepped.weights == (0.5, 0.5)
    assert released == Release((3, 1), version=1)


def test_buffered_push_is_accumulated_before_the_step_that_contains_it():
    made = server(2)
    assert made.receive(push(3), 0.0) == [Accumulate(push(3), 1.0)]
    assert kinds(made.receive(push(1), 0.0)) == ["Accumulate", "Step", "Release"]


def test_gradients_weigh_their_samples_in_multiples_of_the_first():
    made = server(3)
    for worker, samples, weight in ((2, 30, 1.0), (1, 10, 1 / 3), (3, 20, 2 / 3)):
        accumulated, *rest = made.receive(push(worker, samples=samples), 0.0)
        assert accumulated.weight == pytest.approx(weight)
    assert rest[0].scale == 0.5
    assert rest[0].weights == pytest.approx((1 / 2, 1 / 6, 1 / 3))


def test_damping_lowers_the_weight_of_that_gradient_alone():
    halved = StalenessRule(damping=lambda staleness: 0.5**staleness)
    made = server(workers=4, curve=step(1, 1, every=2), stale=halved)
    receive(made, push(1), 0.0)
    assert made.receive(push(2), 0.0) == [Accumulate(push(2), 0.5)]
    accumulated, stepped, _ = made.receive(push(1, version=1, batch=1), 0.0)
    assert accumulated.weight == 1.0
    assert (stepped.weights, stepped.scale) == ((0.25, 0.5), 0.5)


def test_release_says_when_every_active_worker_waits():
    made = server(3)
    receive(made, push(1), 0.0)
    receive(made, push(2), 0.0)
    assert receive(made, push(3), 0.0)[1] == Release((1, 2, 3), version=1, all_wait=True)


def test_continue_answers_at_once_with_the_version_in_force_after_the_step():
    made = server(2, after_push="continue")
    assert receive(made, push(1), 0.0) == [Release((1,), version=0)]
    assert receive(made, push(1, batch=1), 0.0)[1] == Release((1,), version=1)


def test_staleness_counts_the_versions_since_the_push_was_computed():
    made = server(1)
    receive(made, push(1), 0.0)
    receive(made, push(2), 0.0)
    assert receive(made, push(3, version=0), 0.0)[0].staleness == (2,)


def test_the_whole_buffer_steps_when_a_shrinking_threshold_falls_below_it():
    made = server(workers=5, curve=step(5, -2, every=3))
    assert receive(made, push(1), 0.0) == []
    assert receive(made, push(2), 0.0) == []
    stepped = receive(made, push(3), 0.0)[0]
    assert (stepped.threshold, len(stepped.pushes)) == (3, 3)


def test_the_threshold_counts_the_push_that_has_just_arrived():
    made = server(workers=3, curve=step(1, 1, every=2))
    first = receive(made, push(1), 0.0)[0]
    assert first.threshold == 1
    assert receive(made, push(2), 0.0) == []
    assert made.threshold(0.0) == 2


def test_stale_push_is_discarded_and_its_worker_released_at_once():
    made = server(1, stale=discard_from(1))
    receive(made, push(1), 0.0)
    assert receive(made, push(2), 0.0) == [Discard(push(2), "stale"), Release((2,), version=1)]


def test_discard_from_a_limit_keeps_what_is_younger():
    made = server(1, stale=discard_from(2))
    receive(made, push(1), 0.0)
    assert kinds(receive(made, push(2), 0.0)) == ["Step", "Release"]
    assert kinds(receive(made, push(3), 0.0)) == ["Discard", "Release"]


def test_non_finite_push_is_discarded_and_its_worker_released():
    bad = push(1, is_finite=False)
    assert receive(server(1), bad, 0.0) == [Discard(bad, "non-finite"), Release((1,), version=0)]


def test_cancel_releases_the_workers_that_still_compute():
    made = server(2, stale=CANCEL)
    receive(made, push(1), 0.0)
    _, released, cancelled = receive(made, push(2), 0.0)
    assert released == Release((1, 2), version=1)
    assert cancelled == Release((3,), version=1, cancel=True)


def test_push_that_crossed_its_cancellation_is_discarded_without_a_second_release():
    made = server(2, stale=CANCEL)
    receive(made, push(1), 0.0)
    receive(made, push(2), 0.0)
    assert receive(made, push(3, version=0), 0.0) == [Discard(push(3), "cancelled")]
    assert receive(made, push(3, version=1, batch=1), 0.0) == []


def test_push_that_crossed_its_cancellation_after_the_end_is_not_answered_either():
    made = server(2, stale=CANCEL, limits=Limits(gradients=4))
    receive(made, push(1), 0.0)
    receive(made, push(2), 0.0)
    receive(made, push(1, version=1), 0.0)
    receive(made, push(2, version=1), 0.0)
    assert made.stop_reason == "gradient limit"
    assert receive(made, push(3, version=0), 0.0) == [Discard(push(3), "late")]
    late = push(3, version=1, batch=1)
    assert receive(made, late, 0.0) == [Discard(late, "late"), Stop((3,))]
    assert made.is_finished


def test_losing_a_worker_lowers_the_threshold_and_a_step_may_fall_due():
    made = server(math.inf)
    receive(made, push(1), 0.0)
    receive(made, push(2), 0.0)
    stepped, released = made.lose(3, 0.0)
    assert (stepped.threshold, len(stepped.pushes)) == (2, 2)
    assert released == Release((1, 2), version=1, all_wait=True)


def test_push_of_a_lost_worker_stays_in_the_buffer():
    made = server(3)
    receive(made, push(1), 0.0)
    made.lose(1, 0.0)
    stepped, released = receive(made, push(2), 0.0)
    assert [p.worker for p in stepped.pushes] == [1, 2]
    assert released == Release((2,), version=1)


def test_losing_every_worker_ends_the_run():
    made = server(1, workers=1)
    assert made.lose(1, 0.0) == []
    assert (made.stop_reason, made.is_finished) == ("no worker left", True)


def test_gradient_limit_stops_who_waits_at_once_and_the_others_when_they_push():
    made = server(3, limits=Limits(gradients=2))
    receive(made, push(1), 0.0)
    assert receive(made, push(2), 0.0) == [Stop((1, 2))]
    assert (made.buffered, made.stop_reason, made.is_finished) == (2, "gradient limit", False)
    assert receive(made, push(3), 0.0) == [Discard(push(3), "late"), Stop((3,))]
    assert (made.gradients, made.is_finished) == (2, True)


def test_step_limit_is_reached_by_the_step_itself():
    made = server(1, limits=Limits(steps=1))
    assert kinds(receive(made, push(1), 0.0)) == ["Step", "Stop"]


def test_epoch_limit_counts_samples():
    made = server(1, limits=Limits(samples=16))
    assert kinds(receive(made, push(1), 0.0)) == ["Step", "Release"]
    assert kinds(receive(made, push(2), 0.0)) == ["Step", "Stop"]


def test_push_at_the_time_limit_is_late():
    made = server(2, limits=Limits(time_s=10.0))
    receive(made, push(1), 9.9)
    assert receive(made, push(2), 10.0) == [Discard(push(2), "late"), Stop((1, 2))]
    assert made.gradients == 1


def test_stop_tells_those_who_wait_and_is_told_only_once():
    made = server(3)
    receive(made, push(1), 0.0)
    assert made.stop("signal") == [Stop((1,))]
    assert made.stop("time limit") == []
    assert made.stop_reason == "signal"


@pytest.mark.parametrize(
    ("given", "message"), [(push(9), "not released"), (push(1, version=1), "version 0")]
)
def test_impossible_pushes_are_refused(given, message):
    with pytest.raises(ProtocolError, match=message):
        receive(server(1), given, 0.0)


def test_push_of_an_older_version_than_released_is_refused_unless_steps_cancel():
    made = server(1)
    receive(made, push(1), 0.0)
    with pytest.raises(ProtocolError, match="worker 1 has version 1, but got"):
        receive(made, push(1, batch=1, version=0), 0.0)


def test_waiting_worker_cannot_push_again():
    made = server(2)
    receive(made, push(1), 0.0)
    with pytest.raises(ProtocolError, match="not released"):
        receive(made, push(1, batch=1), 0.0)


def test_accepting_is_the_default():
    assert Method(ANY, ANY).stale == ACCEPT


def test_joining_worker_is_released_with_the_version_in_force_and_raises_the_threshold():
    made = server(math.inf, workers=2)
    receive(made, push(1), 0.0)
    receive(made, push(2), 0.0)
    assert made.join(3) == [Release((3,), version=1)]
    assert (made.active_workers, made.threshold(0.0)) == (3, 3)
    receive(made, push(1, version=1), 0.0)
    assert receive(made, push(2, version=1), 0.0) == []
    stepped, released = receive(made, push(3, version=1), 0.0)
    assert (stepped.threshold, stepped.staleness) == (3, (0, 0, 0))
    assert released == Release((1, 2, 3), version=2, all_wait=True)


def test_lost_worker_joins_again_while_its_push_is_buffered():
    made = server(3)
    receive(made, push(1), 0.0)
    made.lose(1, 0.0)
    assert made.join(1) == [Release((1,), version=0)]
    receive(made, push(2), 0.0)
    stepped, released = receive(made, push(1, batch=2), 0.0)
    assert [(p.worker, p.batch) for p in stepped.pushes] == [(1, 0), (2, 0), (1, 2)]
    assert released == Release((2, 1), version=1)


def test_who_joins_when_the_run_is_over_is_stopped_at_once():
    made = server(1, limits=Limits(gradients=1))
    receive(made, push(1), 0.0)
    assert made.join(1) == [Stop((1,))]
    made.lose(2, 0.0)
    made.lose(3, 0.0)
    assert made.is_finished


def test_no_worker_left_is_final():
    made = server(1, workers=1)
    made.lose(1, 0.0)
    assert made.join(1) == [Stop((1,))]
    assert (made.stop_reason, made.is_finished) == ("no worker left", True)


@pytest.mark.parametrize("waits", [False, True])
def test_active_worker_cannot_join(waits):
    made = server(2)
    if waits:
        receive(made, push(1), 0.0)
    with pytest.raises(ProtocolError, match="worker 1 joined, but it is active already"):
        made.join(1)
