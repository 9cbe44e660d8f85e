"""A host whose cores are shared by more workers than there are."""

import heapq
import math
from collections.abc import Callable, Mapping
from typing import Any

from hybridmpi.engines.simulate.task import Task

_ROUNDING_NS = 0.5


class SharedHost:
    """Processor sharing: n tasks on c cores each run at the rate min(1, c / n).

    All tasks run at one rate, so that the service each has had since the beginning is one number;
    a task ends when that number has grown by its work.
    """

    def __init__(self, cores: int) -> None:
        self.changes = 0
        self._cores = cores
        self._running = 0
        self._service_ns = 0.0
        self._then_ns = 0
        self._ends: list[tuple[float, int, Task]] = []  # service at the end, serial number

    def state(self, name: Callable[[Task], object]) -> dict[str, Any]:
        """Return what another host needs to go on from here; `name` says which task is which."""
        ends = [
            (end, serial, name(task)) for end, serial, task in self._ends if not task.is_abandoned
        ]
        return {
            "changes": self.changes,
            "running": self._running,
            "service_ns": self._service_ns,
            "then_ns": self._then_ns,
            "ends": ends,
        }

    def resume(self, state: Mapping[str, Any], find: Callable[[Any], Task]) -> None:
        """Go on where another host was; `find` returns the task of a name."""
        self.changes, self._running = state["changes"], state["running"]
        self._service_ns, self._then_ns = state["service_ns"], state["then_ns"]
        self._ends = [(end, serial, find(name)) for end, serial, name in state["ends"]]
        heapq.heapify(self._ends)

    def begin(self, task: Task, work_ns: int, now_ns: int) -> None:
        """Let a task run that takes `work_ns` on a core of its own."""
        self._advance(now_ns)
        self._running += 1
        self.changes += 1
        heapq.heappush(self._ends, (self._service_ns + work_ns, self.changes, task))

    def abandon(self, task: Task, now_ns: int) -> None:
        """Take away a task that runs."""
        self._advance(now_ns)
        self._running -= 1
        self.changes += 1
        task.is_abandoned = True

    def ended(self, now_ns: int) -> list[Task]:
        """Take away and return the tasks that have ended by now, in the order of their ends."""
        self._advance(now_ns)
        ended = []
        while self._drop_abandoned() and self._ends[0][0] <= self._service_ns + _ROUNDING_NS:
            ended.append(heapq.heappop(self._ends)[2])
            self._running -= 1
            self.changes += 1
        return ended

    def next_end_ns(self, now_ns: int) -> int | None:
        """Return when the next task ends if nothing changes; None if none runs."""
        self._advance(now_ns)
        if not self._drop_abandoned():
            return None
        return now_ns + max(0, math.ceil((self._ends[0][0] - self._service_ns) / self._rate()))

    def _rate(self) -> float:
        return min(1.0, self._cores / self._running)

    def _advance(self, now_ns: int) -> None:
        if self._running:
            self._service_ns += (now_ns - self._then_ns) * self._rate()
        self._then_ns = now_ns

    def _drop_abandoned(self) -> bool:
        while self._ends and self._ends[0][2].is_abandoned:
            heapq.heappop(self._ends)
        return bool(self._ends)
