"""The workers and their network on a virtual clock.

Events are ordered by (time, kind, serial number): what falls on the same nanosecond happens in the
order of the kinds, and within one kind in the order in which it came to be known. So ties resolve
in the same way on every run, also where all workers are alike and take equally long.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hybridmpi.engines.simulate.host import SharedHost
from hybridmpi.engines.simulate.task import Task
from hybridmpi.engines.simulate.times import NS, Times
from hybridmpi.engines.simulate.trace import Availability, Change

# What happens; at one time, the smaller number first. Not an enumeration, which is slow to read.
_CHANGE = 0  # a worker joins or leaves
_LIMIT = 1  # the time limit is reached
_ENDED = 2  # a task on a shared host may have ended
_START = 3  # a release has reached its worker
_ARRIVAL = 4  # a push has reached the server

Event = Task | Change | None  # None is the time limit


class Cluster:
    """Plays what the workers do between a release and their push.

    Messages between the server and one worker arrive in the order in which they are sent, as under
    MPI: behind one that is lost and sent again, the next ones wait.

    Attributes:
        now_ns: The time of the last event.
    """

    def __init__(
        self,
        times: Times,
        availability: Availability,
        *,
        num_workers: int,
        samples: Callable[[int, int], int],
        forget: Callable[[int], None],
        workers_per_host: int | None = None,
        cores_per_host: int = 1,
        time_limit_s: float = math.inf,
    ) -> None:
        """Prepare the workers 1..num_workers.

        Args:
            times: How long things take.
            availability: Who is there when.
            num_workers: Number of workers that ever are.
            samples: Size of a worker's batch, by worker and batch number.
            forget: Told the version of a task that is abandoned.
            workers_per_host: How many workers share a host's cores; None gives each its own.
            cores_per_host: Cores of such a host.
            time_limit_s: When the event of the time limit comes.
        """
        self.now_ns = 0
        self._times = times
        self._samples = samples
        self._forget = forget
        self._next_batch = [0] * (num_workers + 1)
        self._tasks: list[list[Task]] = [[] for _ in range(num_workers + 1)]  # on their way
        self._idle_since_ns = [0] * (num_workers + 1)
        self._hosts: list[SharedHost | None] = [None] * (num_workers + 1)
        if workers_per_host is not None and workers_per_host > cores_per_host:
            hosts = [SharedHost(cores_per_host) for _ in range(-(-num_workers // workers_per_host))]
            self._hosts[1:] = [hosts[i // workers_per_host] for i in range(num_workers)]
        self._events: list[tuple[int, int, int, Any]] = []
        self._serial = 0
        for change in availability.changes:
            self._schedule(change.time_ns, _CHANGE, change)
        if time_limit_s * NS < math.inf:
            self._schedule(round(time_limit_s * NS), _LIMIT, None)

    def state(self) -> dict[str, Any]:
        """Return what another cluster needs to go on from here, as JSON holds it.

        A task is named by its worker and its place among that worker's tasks. What would tell of
        abandoned tasks is left out, and the time limit, which is the job's.
        """
        names = {
            id(task): (task.worker, place)
            for tasks in self._tasks
            for place, task in enumerate(tasks)
        }
        hosts = self._own_hosts()
        events = []
        for time_ns, kind, serial, about in self._events:
            if kind == _CHANGE:
                events.append((time_ns, kind, serial, (about.worker, about.joins)))
            elif kind == _ENDED:
                host, changes = about
                events.append((time_ns, kind, serial, (hosts.index(host), changes)))
            elif kind != _LIMIT and not about.is_abandoned:
                events.append((time_ns, kind, serial, names[id(about)]))
        return {
            "now_ns": self.now_ns,
            "next_batch": self._next_batch,
            "tasks": [[task.state() for task in tasks] for tasks in self._tasks],
            "idle_since_ns": self._idle_since_ns,
            "hosts": [host.state(lambda task: names[id(task)]) for host in hosts],
            "events": events,
            "serial": self._serial,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on where another cluster of these workers and hosts was."""
        self.now_ns, self._serial = state["now_ns"], state["serial"]
        self._next_batch, self._idle_since_ns = state["next_batch"], state["idle_since_ns"]
        self._tasks = [[Task.resumed(task) for task in tasks] for tasks in state["tasks"]]
        hosts = self._own_hosts()

        def find(name: Sequence[int]) -> Task:
            worker, place = name
            return self._tasks[worker][place]

        for host, held in zip(hosts, state["hosts"], strict=True):
            host.resume(held, find)
        self._events = [event for event in self._events if event[1] == _LIMIT]
        for time_ns, kind, serial, (first, second) in state["events"]:
            about: Any
            if kind == _CHANGE:
                about = Change(time_ns, first, second)
            elif kind == _ENDED:
                about = (hosts[first], second)
            else:
                about = find((first, second))
            self._events.append((time_ns, kind, serial, about))
        heapq.heapify(self._events)

    def versions(self) -> list[int]:
        """Return the version of each task on its way."""
        return [task.version for tasks in self._tasks for task in tasks]

    def _own_hosts(self) -> list[SharedHost]:
        """Return each shared host once."""
        return list(dict.fromkeys(host for host in self._hosts if host is not None))

    def release(self, worker: int, version: int, sent_ns: int) -> None:
        """Send a release; if the worker still computes when it comes, it abandons that batch."""
        batch = self._next_batch[worker]
        self._next_batch[worker] = batch + 1
        task, tasks = Task(worker, batch, version), self._tasks[worker]
        task.due_ns = sent_ns + self._times.down_ns(worker, batch)
        if tasks and tasks[-1].started_ns < 0:
            task.due_ns = max(task.due_ns, tasks[-1].due_ns)
        tasks.append(task)
        self._schedule(task.due_ns, _START, task)

    def lose(self, worker: int) -> None:
        """Let a worker vanish, with what it computes and what it has sent."""
        for task in list(self._tasks[worker]):
            self._abandon(task)

    def events(self) -> Iterator[Event]:
        """Yield what the server has to know of, in the order of time, until nothing is to come."""
        events = self._events
        while events:
            self.now_ns, kind, _, about = heapq.heappop(events)
            if kind == _ARRIVAL:
                if not about.is_abandoned:
                    self._tasks[about.worker].remove(about)
                    yield about
            elif kind == _START:
                if not about.is_abandoned:
                    self._start(about)
            elif kind == _ENDED:
                self._end_tasks(*about)
            else:
                if kind == _CHANGE and about.joins:
                    self._idle_since_ns[about.worker] = self.now_ns
                yield about

    def _schedule(self, time_ns: int, kind: int, about: Any) -> None:
        self._serial += 1
        heapq.heappush(self._events, (time_ns, kind, self._serial, about))

    def _start(self, task: Task) -> None:
        worker, now_ns = task.worker, self.now_ns
        before = self._task_before(task)
        if before is not None and not 0 <= before.sent_ns <= now_ns:  # cancelled by this release
            self._idle_since_ns[worker] = now_ns
            self._abandon(before)
        task.started_ns = now_ns
        task.wait_ns = now_ns - self._idle_since_ns[worker]
        samples = task.samples = self._samples(worker, task.batch)
        work_ns = self._times.compute_ns(worker, task.batch, samples)
        host = self._hosts[worker]
        if host is None:
            self._push(task, now_ns + work_ns)
        else:
            host.begin(task, work_ns, now_ns)
            self._await_end(host)

    def _push(self, task: Task, computed_ns: int) -> None:
        """Let a gradient that is there at `computed_ns` wait out its delay, and be sent."""
        sent_ns = computed_ns + self._times.delay_ns(task.worker, task.batch)
        task.compute_ns, task.sent_ns = computed_ns - task.started_ns, sent_ns
        self._idle_since_ns[task.worker] = sent_ns
        task.due_ns = sent_ns + self._times.up_ns(task.worker, task.batch)
        before = self._task_before(task)
        if before is not None:
            task.due_ns = max(task.due_ns, before.due_ns)
        self._schedule(task.due_ns, _ARRIVAL, task)

    def _task_before(self, task: Task) -> Task | None:
        """Return the worker's task before this one, if something is still to come of it."""
        tasks = self._tasks[task.worker]
        return None if tasks[0] is task else tasks[tasks.index(task) - 1]

    def _await_end(self, host: SharedHost) -> None:
        time_ns = host.next_end_ns(self.now_ns)
        if time_ns is not None:
            self._schedule(time_ns, _ENDED, (host, host.changes))

    def _end_tasks(self, host: SharedHost, changes: int) -> None:
        if changes != host.changes:  # foreseen before something else began or ended there
            return
        for task in host.ended(self.now_ns):
            self._push(task, self.now_ns)
        self._await_end(host)

    def _abandon(self, task: Task) -> None:
        host = self._hosts[task.worker]
        if host is not None and task.started_ns >= 0 and task.sent_ns < 0:
            host.abandon(task, self.now_ns)
            self._await_end(host)
        task.is_abandoned = True
        self._tasks[task.worker].remove(task)
        self._forget(task.version)
