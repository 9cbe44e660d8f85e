"""The parameter server's side of the protocol: pushes in, instructions out.

The rules that this file keeps:

- A worker either computes or waits; one that computes has exactly one push to come.
- Every push ends in exactly one place: a step, a discard, or the buffer when the run is over.
- A worker whose push was discarded is released at once; one whose push is buffered is released by
  the step that contains it (`wait`) or at once (`continue`).
- The threshold never exceeds the number of active workers and is looked at again after every push
  and every loss, so the workers that wait are always fewer than the active ones.
- Once a limit is reached nothing steps any more, and whoever pushes is told to stop.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from hybridmpi.core.aggregation import Aggregation, scale
from hybridmpi.core.gradient_buffer import GradientBuffer
from hybridmpi.core.messages import (
    Accumulate,
    Discard,
    DiscardReason,
    Instruction,
    Push,
    Release,
    Step,
    Stop,
)
from hybridmpi.core.schedule import Progress, Schedule
from hybridmpi.core.staleness import ACCEPT, StalenessRule
from hybridmpi.core.threshold import threshold

AfterPush = Literal["wait", "continue"]


class ProtocolError(Exception):
    """An engine told the server something that cannot happen; a defect, never the user's fault."""


@dataclass(frozen=True, slots=True)
class Method:
    """A point in the space between synchronous and asynchronous SGD."""

    threshold: Schedule
    learning_rate: Schedule
    aggregation: Aggregation = "mean"
    after_push: AfterPush = "wait"
    stale: StalenessRule = field(default=ACCEPT)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a run ends; the first limit that is reached counts.

    Attributes:
        time_s: Seconds on the training clock.
        gradients: Pushes, discarded ones included.
        steps: Steps of the server.
        samples: Samples behind all pushes (an epoch is one training set of them).
    """

    time_s: float = math.inf
    gradients: float = math.inf
    steps: float = math.inf
    samples: float = math.inf


@dataclass(frozen=True, slots=True)
class ServerState:
    """All that a server knows while its run goes on.

    Attributes:
        version: As the server's; so with the next two.
        gradients: As the server's.
        samples: As the server's.
        pushes: The gradient buffer, in arrival order.
        staleness: Of each push in it.
        weights: Of each push in it.
        waiting: The workers that wait, in the order in which they began to.
        computing: The workers that compute, and the version that each was released with.
    """

    version: int
    gradients: int
    samples: int
    pushes: tuple[Push, ...]
    staleness: tuple[int, ...]
    weights: tuple[float, ...]
    waiting: tuple[int, ...]
    computing: Mapping[int, int]


class ParameterServer:
    """Decides what happens to every push; knows no MPI, no clock and no numbers but counts.

    Attributes:
        version: Steps taken.
        gradients: Pushes that arrived, late ones excepted.
        samples: Samples behind those pushes.
        stop_reason: Why the run is over; empty while it goes on.
    """

    def __init__(self, method: Method, limits: Limits, workers: Iterable[int]) -> None:
        self.version = 0
        self.gradients = 0
        self.samples = 0
        self.stop_reason = ""
        self._method = method
        self._limits = limits
        self._buffer = GradientBuffer()
        self._waiting = dict.fromkeys(workers)  # in the order in which they began to wait
        self._computing: dict[int, int] = {}  # worker: version it was released with

    @classmethod
    def resumed(cls, method: Method, limits: Limits, state: ServerState) -> Self:
        """Return a server that goes on where another one was."""
        server = cls(method, limits, state.waiting)
        server.version, server.gradients = state.version, state.gradients
        server.samples = state.samples
        server._buffer = GradientBuffer.of(state.pushes, state.staleness, state.weights)
        server._computing = dict(state.computing)
        return server

    def state(self) -> ServerState:
        """Return what another server needs to go on from here, before the run is over."""
        buffer = self._buffer
        return ServerState(
            self.version,
            self.gradients,
            self.samples,
            tuple(buffer.pushes),
            tuple(buffer.staleness),
            tuple(buffer.weights),
            tuple(self._waiting),
            dict(self._computing),
        )

    @property
    def active_workers(self) -> int:
        """Number of workers that compute or wait."""
        return len(self._computing) + len(self._waiting)

    @property
    def computing(self) -> tuple[int, ...]:
        """The workers that compute."""
        return tuple(self._computing)

    @property
    def buffered(self) -> int:
        """Number of pushes in the gradient buffer."""
        return len(self._buffer)

    @property
    def is_finished(self) -> bool:
        """Whether every worker that is not lost has been told to stop."""
        return bool(self.stop_reason) and self.active_workers == 0

    def threshold(self, now_s: float) -> int:
        """Return the threshold K in force."""
        progress = Progress(self.gradients, self.version, now_s)
        return threshold(self._method.threshold, progress, self.active_workers)

    def start(self) -> list[Instruction]:
        """Release all workers with the initial parameters."""
        return self._release(tuple(self._waiting))

    def go_on(self, workers: tuple[int, ...], now_s: float) -> list[Instruction]:
        """Release workers that wait, but for no step; first step if that is due.

        Args:
            workers: Those whose pushes are not in the gradient buffer.
            now_s: Seconds on the training clock.
        """
        return self._advance(now_s, workers)

    def receive(self, push: Push, now_s: float) -> list[Instruction]:
        """Take a push.

        Args:
            push: The push that has just arrived.
            now_s: Seconds on the training clock, never decreasing.

        Returns:
            What the engine has to do, in this order.

        Raises:
            ProtocolError: If the worker is not known to compute, its version is yet to come, or
                older than that of its release though nothing is ever cancelled.
        """
        self._check(push)
        is_cancelled = push.version < self._computing[push.worker]
        if not is_cancelled:
            self._wait(push.worker)
        if now_s >= self._limits.time_s:
            self.stop_reason = self.stop_reason or "time limit"
        if self.stop_reason:
            return [Discard(push, "late"), *self._stop_waiting()]
        self.gradients += 1
        self.samples += push.samples
        staleness = self.version - push.version
        if is_cancelled:  # its release is on the way already
            return [Discard(push, "cancelled"), *self._advance(now_s)]
        reason = self._discard_reason(push, staleness)
        if reason is not None:
            return [Discard(push, reason), *self._advance(now_s, (push.worker,))]
        weight = self._buffer.add(push, staleness, self._method.stale.damping(staleness))
        continues = self._method.after_push == "continue"
        advanced = self._advance(now_s, (push.worker,) if continues else ())
        return [Accumulate(push, weight), *advanced]

    def lose(self, worker: int, now_s: float) -> list[Instruction]:
        """Go on without a worker; what it has pushed stays in the buffer.

        Returns:
            What the engine has to do: with fewer active workers a step may fall due.
        """
        self._waiting.pop(worker, None)
        self._computing.pop(worker, None)
        if self.active_workers == 0:
            self.stop_reason = self.stop_reason or "no worker left"
        return [] if self.stop_reason else self._advance(now_s)

    def join(self, worker: int) -> list[Instruction]:
        """Go on with one worker more, a new one or one that was lost.

        Raises:
            ProtocolError: If it is active already.
        """
        if worker in self._computing or worker in self._waiting:
            raise ProtocolError(f"worker {worker} joined, but it is active already")
        self._waiting[worker] = None
        return self._stop_waiting() if self.stop_reason else self._release((worker,))

    def stop(self, reason: str) -> list[Instruction]:
        """End the run: who waits is told at once, who computes when its push arrives."""
        self.stop_reason = self.stop_reason or reason
        return self._stop_waiting()

    def _check(self, push: Push) -> None:
        if push.worker not in self._computing:
            raise ProtocolError(f"worker {push.worker} pushed, but it was not released: {push}")
        if not 0 <= push.version <= self.version:
            raise ProtocolError(f"the server is at version {self.version}, but got {push}")
        released = self._computing[push.worker]
        if push.version < released and not self._method.stale.cancel:
            raise ProtocolError(f"worker {push.worker} has version {released}, but got {push}")

    def _wait(self, worker: int) -> None:
        del self._computing[worker]
        self._waiting[worker] = None

    def _discard_reason(self, push: Push, staleness: int) -> DiscardReason | None:
        if not push.is_finite:
            return "non-finite"
        return "stale" if self._method.stale.is_discarded(staleness) else None

    def _step_if_due(self, now_s: float) -> list[Instruction]:
        buffer, method = self._buffer, self._method
        if not buffer.pushes:
            return []
        progress = Progress(self.gradients, self.version, now_s)
        due = threshold(method.threshold, progress, self.active_workers)
        if len(buffer.pushes) < due:
            return []
        self.version += 1
        factor = scale(method.aggregation, [push.samples for push in buffer.pushes])
        stepped = Step(
            self.version,
            tuple(buffer.pushes),
            tuple([factor * weight for weight in buffer.weights]),
            tuple(buffer.staleness),
            due,
            method.learning_rate(progress),
            factor,
        )
        buffer.clear()
        return [stepped]

    def _check_limits(self) -> None:
        limits = self._limits
        if self.gradients >= limits.gradients:
            self.stop_reason = self.stop_reason or "gradient limit"
        if self.version >= limits.steps:
            self.stop_reason = self.stop_reason or "step limit"
        if self.samples >= limits.samples:
            self.stop_reason = self.stop_reason or "epoch limit"

    def _advance(self, now_s: float, free: tuple[int, ...] = ()) -> list[Instruction]:
        """Step if that is due; then answer the workers free anyway, and all that waited."""
        stepped = self._step_if_due(now_s)
        self._check_limits()
        if self.stop_reason:
            return stepped + self._stop_waiting()
        if stepped:
            return stepped + self._release(tuple(self._waiting)) + self._cancel()
        return self._release(free)

    def _release(self, workers: tuple[int, ...]) -> list[Instruction]:
        for worker in workers:
            del self._waiting[worker]
            self._computing[worker] = self.version
        all_wait = len(workers) == self.active_workers
        return [Release(workers, self.version, all_wait=all_wait)] if workers else []

    def _cancel(self) -> list[Instruction]:
        if not self._method.stale.cancel:
            return []
        behind = tuple(w for w, version in self._computing.items() if version < self.version)
        self._computing.update(dict.fromkeys(behind, self.version))
        return [Release(behind, self.version, cancel=True)] if behind else []

    def _stop_waiting(self) -> list[Instruction]:
        stopped = tuple(self._waiting)
        self._waiting.clear()
        return [Stop(stopped)] if stopped else []
