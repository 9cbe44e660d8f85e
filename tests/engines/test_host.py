"""Processor sharing, against an exact computation of what is left of each task."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridmpi.engines.simulate.host import SharedHost
from hybridmpi.engines.simulate.task import Task


class Plan(NamedTuple):
    """A task that begins, takes so long on a core of its own, and may be abandoned."""

    begin_ns: int
    work_ns: int
    abandon_ns: int | None = None

    @property
    def leave_ns(self) -> int | None:
        """When it is abandoned: not before it begins."""
        return None if self.abandon_ns is None else max(self.begin_ns, self.abandon_ns)


plans = st.lists(
    st.builds(
        Plan,
        st.integers(0, 2000),
        st.integers(1, 3000),
        st.none() | st.integers(0, 5000),
    ),
    min_size=1,
    max_size=8,
)


def ends_on_host(cores: int, plans: Sequence[Plan]) -> dict[int, int]:
    """Let a host run what is planned, and return when each task ended that did, by its number."""
    host = SharedHost(cores)
    ends: dict[int, int] = {}
    tasks = [Task(number, 0, 0) for number in range(len(plans))]
    changes = [(plan.begin_ns, 0, number) for number, plan in enumerate(plans)]
    for number, plan in enumerate(plans):
        if plan.leave_ns is not None:
            changes.append((plan.leave_ns, 1, number))
    changes.sort()
    now_ns = 0
    while True:
        end_ns = host.next_end_ns(now_ns)
        if changes and (end_ns is None or changes[0][0] < end_ns):
            now_ns, is_abandoned, number = changes.pop(0)
            if not is_abandoned:
                host.begin(tasks[number], plans[number].work_ns, now_ns)
            elif number not in ends:
                host.abandon(tasks[number], now_ns)
        elif end_ns is not None:
            now_ns = end_ns
            ended = host.ended(now_ns)
            assert ended
            ends |= {task.worker: now_ns for task in ended}
        else:
            return ends


def exact_ends(cores: int, plans: Sequence[Plan]) -> dict[int, Fraction]:
    """Return the same by going from change to change, with what is left of each task."""
    left: dict[int, Fraction] = {}
    ends: dict[int, Fraction] = {}
    begins = {number: plan.begin_ns for number, plan in enumerate(plans)}
    leaves = [plan.leave_ns for plan in plans]
    now = Fraction(0)
    while left or begins:
        rate = min(Fraction(1), Fraction(cores, len(left))) if left else Fraction(1)
        times = [Fraction(begin_ns) for begin_ns in begins.values()]
        times += [Fraction(leave_ns) for n in left if (leave_ns := leaves[n]) is not None]
        then = min(times + [now + work / rate for work in left.values()])
        left = {number: work - (then - now) * rate for number, work in left.items()}
        now = then
        for number in [number for number, work in left.items() if work <= 0]:
            ends[number] = now
            del left[number]
        for number, plan in enumerate(plans):
            if begins.get(number) == now:
                del begins[number]
                left[number] = Fraction(plan.work_ns)
            if number in left and leaves[number] == now:
                del left[number]
    return ends


@given(st.integers(1, 4), plans)
def test_tasks_end_when_processor_sharing_lets_them(cores: int, plans: list[Plan]) -> None:
    ends, exact = ends_on_host(cores, plans), exact_ends(cores, plans)
    rounding_ns = 2 * len(plans)
    for number in ends.keys() & exact.keys():
        assert ends[number] == pytest.approx(float(exact[number]), abs=rounding_ns)
    for number in ends.keys() ^ exact.keys():  # abandoned as it ended
        end = ends.get(number, exact.get(number))
        assert end is not None
        assert plans[number].leave_ns == pytest.approx(float(end), abs=rounding_ns)


@pytest.mark.parametrize(("tasks", "cores"), [(1, 1), (2, 2), (2, 4), (4, 2), (3, 2), (25, 16)])
def test_equal_tasks_take_as_much_longer_as_there_are_too_few_cores(tasks: int, cores: int) -> None:
    ends = ends_on_host(cores, [Plan(0, 16_000)] * tasks)
    assert set(ends.values()) == {max(16_000, 16_000 * tasks // cores)}
    assert list(ends) == list(range(tasks))


def test_abandoned_task_frees_its_share() -> None:
    assert ends_on_host(1, [Plan(0, 1000), Plan(0, 1000, abandon_ns=600)]) == {0: 1300}


def test_task_that_ends_frees_its_share() -> None:
    assert ends_on_host(1, [Plan(0, 100), Plan(0, 1000)]) == {0: 200, 1: 1100}


def test_late_task_slows_down_what_runs() -> None:
    assert ends_on_host(1, [Plan(0, 1000), Plan(500, 100)]) == {1: 700, 0: 1100}


def test_idle_host_has_no_end_to_come() -> None:
    host = SharedHost(2)
    assert host.next_end_ns(5) is None
    task = Task(1, 0, 0)
    host.begin(task, 10, 5)
    assert host.next_end_ns(5) == 15
    host.abandon(task, 7)
    assert host.next_end_ns(7) is None
    assert host.ended(100) == []
