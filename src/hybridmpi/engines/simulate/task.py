"""A batch on its way through a simulated worker."""

from collections.abc import Sequence
from typing import Self


class Task:
    """A batch of a worker, from its release to its push.

    Attributes:
        worker: Who computes it.
        batch: Its number.
        version: The version of the parameters.
        samples: Its size, once it has begun.
        started_ns: When it began; -1 before.
        compute_ns: How long computing took.
        wait_ns: How long the worker had waited for its release.
        sent_ns: When its push is sent; -1 while that is not known.
        due_ns: When the message arrives that carries it: its release, later its push.
        is_abandoned: Whether nothing comes of it.
    """

    __slots__ = (
        *("worker", "batch", "version", "samples", "started_ns", "compute_ns", "wait_ns"),
        *("sent_ns", "due_ns", "is_abandoned"),
    )

    def __init__(self, worker: int, batch: int, version: int) -> None:
        self.worker = worker
        self.batch = batch
        self.version = version
        self.samples = self.compute_ns = self.wait_ns = self.due_ns = 0
        self.started_ns = self.sent_ns = -1
        self.is_abandoned = False

    def state(self) -> list[int]:
        """Return its numbers, of which `resumed` makes it again, unless it is abandoned."""
        return [getattr(self, name) for name in self.__slots__[:-1]]

    @classmethod
    def resumed(cls, state: Sequence[int]) -> Self:
        """Return the task of a state."""
        task = cls(*state[:3])
        for name, value in zip(cls.__slots__[:-1], state, strict=True):
            setattr(task, name, value)
        return task
