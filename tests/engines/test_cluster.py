"""Workers on a virtual clock, played by hand: who starts, who is cancelled, what arrives when."""

from collections.abc import Mapping
from typing import Any

import pytest

from hybridmpi.engines.simulate.cluster import Cluster, Event
from hybridmpi.engines.simulate.task import Task
from hybridmpi.engines.simulate.trace import Availability, Change, always

Given = Mapping[tuple[int, int], int]  # by worker and batch


class GivenTimes:
    """Nanoseconds as given, and 1000 to compute, 0 for all else where nothing is given."""

    def __init__(
        self,
        compute: Given | None = None,
        delay: Given | None = None,
        down: Given | None = None,
        up: Given | None = None,
    ) -> None:
        self._given = compute or {}, delay or {}, down or {}, up or {}

    def compute_ns(self, worker: int, batch: int, samples: int) -> int:
        del samples
        return self._given[0].get((worker, batch), 1000)

    def delay_ns(self, worker: int, batch: int) -> int:
        return self._given[1].get((worker, batch), 0)

    def down_ns(self, worker: int, batch: int) -> int:
        return self._given[2].get((worker, batch), 0)

    def up_ns(self, worker: int, batch: int) -> int:
        return self._given[3].get((worker, batch), 0)


def cluster(
    times: GivenTimes | None = None,
    availability: Availability | None = None,
    forgotten: list[int] | None = None,
    **settings: Any,
) -> Cluster:
    """Return a cluster of three workers with batches of 8."""
    return Cluster(
        times or GivenTimes(),
        availability or always(3),
        num_workers=3,
        samples=lambda worker, batch: 8 + worker + batch,
        forget=(forgotten if forgotten is not None else []).append,
        **settings,
    )


def arrivals(made: Cluster) -> list[tuple[int, int, int, int]]:
    """Return time, worker, batch and version of all pushes that are to come."""
    told = []
    for event in made.events():
        assert isinstance(event, Task)
        told.append((made.now_ns, event.worker, event.batch, event.version))
    return told


def test_push_comes_after_release_computation_delay_and_its_own_way() -> None:
    made = cluster(GivenTimes({(2, 0): 500}, {(2, 0): 40}, {(2, 0): 3}, {(2, 0): 7}))
    made.release(2, 5, 100)
    (task,) = made.events()
    assert isinstance(task, Task)
    assert made.now_ns == 100 + 3 + 500 + 40 + 7
    assert (task.worker, task.batch, task.version, task.samples) == (2, 0, 5, 10)
    assert (task.started_ns, task.compute_ns, task.wait_ns, task.sent_ns) == (103, 500, 103, 643)


def test_at_one_time_pushes_arrive_in_the_order_of_their_releases() -> None:
    made = cluster()
    for worker in (2, 3, 1):
        made.release(worker, 0, 0)
    assert arrivals(made) == [(1000, 2, 0, 0), (1000, 3, 0, 0), (1000, 1, 0, 0)]


def test_at_one_time_changes_come_first_then_the_limit_then_pushes() -> None:
    leaves = Change(1000, 3, joins=False)
    made = cluster(availability=Availability((1, 2, 3), (leaves,)), time_limit_s=1e-6)
    made.release(1, 0, 0)
    told: list[Event] = list(made.events())
    assert told[:2] == [leaves, None]
    assert isinstance(told[2], Task)


@pytest.mark.parametrize("limit_s", [float("inf"), 1e300])
def test_limit_beyond_all_numbers_is_never_reached(limit_s: float) -> None:
    made = cluster(time_limit_s=limit_s)
    made.release(1, 0, 0)
    assert len(list(made.events())) == 1


def test_release_cancels_what_is_computed() -> None:
    forgotten: list[int] = []
    made = cluster(forgotten=forgotten)
    made.release(1, 0, 0)
    made.release(1, 4, 600)
    assert arrivals(made) == [(1600, 1, 1, 4)]
    assert forgotten == [0]


def test_release_cancels_what_waits_out_its_delay() -> None:
    forgotten: list[int] = []
    made = cluster(GivenTimes(delay={(1, 0): 5000}, up={(1, 0): 10_000}), forgotten=forgotten)
    made.release(1, 0, 0)
    made.release(1, 4, 3000)
    assert arrivals(made) == [(4000, 1, 1, 4)]
    assert forgotten == [0]


def test_push_that_is_sent_arrives_though_its_worker_is_released_anew() -> None:
    forgotten: list[int] = []
    made = cluster(GivenTimes(up={(1, 0): 500}), forgotten=forgotten)
    made.release(1, 0, 0)
    made.release(1, 4, 1200)
    assert arrivals(made) == [(1500, 1, 0, 0), (2200, 1, 1, 4)]
    assert forgotten == []


def test_cancelled_worker_has_not_waited() -> None:
    made = cluster()
    made.release(1, 0, 0)
    made.release(1, 4, 600)
    (task,) = made.events()
    assert isinstance(task, Task)
    assert (task.wait_ns, task.compute_ns) == (0, 1000)


def test_pushes_of_one_worker_do_not_overtake_one_another() -> None:
    made = cluster(GivenTimes(up={(1, 0): 9000}))
    made.release(1, 0, 0)
    made.release(1, 1, 1200)
    assert arrivals(made) == [(10_000, 1, 0, 0), (10_000, 1, 1, 1)]


def test_releases_of_one_worker_do_not_overtake_one_another() -> None:
    forgotten: list[int] = []
    made = cluster(GivenTimes(down={(1, 0): 9000}), forgotten=forgotten)
    made.release(1, 0, 0)
    made.release(1, 1, 100)
    assert arrivals(made) == [(10_000, 1, 1, 1)]
    assert forgotten == [0]


def test_worker_begins_though_another_release_is_on_its_way() -> None:
    forgotten: list[int] = []
    down = {(1, batch): 3000 for batch in range(3)}
    made = cluster(GivenTimes(down=down), forgotten=forgotten)
    for version, sent_ns in enumerate((0, 500, 2000)):
        made.release(1, version, sent_ns)
    assert arrivals(made) == [(4500, 1, 1, 1), (6000, 1, 2, 2)]
    assert forgotten == [0]


def test_nothing_comes_of_a_worker_that_has_vanished() -> None:
    forgotten: list[int] = []
    leaves = Change(1200, 1, joins=False)
    times = GivenTimes(up={(1, 0): 500}, down={(1, 2): 500})
    made = cluster(times, Availability((1, 2, 3), (leaves,)), forgotten)
    made.release(1, 0, 0)
    made.release(1, 1, 1100)
    made.release(1, 2, 1150)
    made.release(2, 3, 300)
    told = []
    for event in made.events():
        told.append(event)
        if event == leaves:
            made.lose(1)
    assert told[0] == leaves
    assert [event.worker for event in told[1:] if isinstance(event, Task)] == [2]
    assert forgotten == [0, 1, 2]


def test_worker_that_joins_again_takes_its_next_batch_and_has_waited_since() -> None:
    changes = (Change(1500, 1, joins=False), Change(4000, 1, joins=True))
    made = cluster(GivenTimes(delay={(1, 0): 9000}), Availability((1, 2, 3), changes))
    made.release(1, 0, 0)
    pushed = []
    for event in made.events():
        if isinstance(event, Task):
            pushed.append((made.now_ns, event.batch, event.wait_ns))
        elif isinstance(event, Change) and event.joins:
            made.release(1, 0, made.now_ns + 50)
        else:
            made.lose(1)
    assert pushed == [(5050, 1, 50)]


def test_workers_share_the_cores_of_their_host_alone() -> None:
    made = cluster(workers_per_host=2)
    for worker in (1, 2, 3):
        made.release(worker, 0, 0)
    assert arrivals(made) == [(1000, 3, 0, 0), (2000, 1, 0, 0), (2000, 2, 0, 0)]


def test_cancelled_and_vanished_tasks_free_their_share_of_the_host() -> None:
    leaves = Change(400, 3, joins=False)
    made = cluster(availability=Availability((1, 2, 3), (leaves,)), workers_per_host=3)
    for worker in (1, 2, 3):
        made.release(worker, 0, 0)
    made.release(2, 1, 1000)
    told = []
    for event in made.events():
        if event == leaves:
            made.lose(3)
        elif isinstance(event, Task):
            told.append((made.now_ns, event.worker, event.batch, event.compute_ns))
    # 400 / 3 of each are done at 400, 600 / 2 more at 1000; from there 1 needs 566 2/3 more
    assert told == [(2134, 1, 0, 2134), (2567, 2, 1, 1567)]


def test_delay_does_not_keep_a_core_busy() -> None:
    made = cluster(GivenTimes(delay={(1, 0): 5000}), workers_per_host=2)
    made.release(1, 0, 0)
    made.release(2, 0, 1000)
    assert arrivals(made) == [(2000, 2, 0, 0), (6000, 1, 0, 0)]
