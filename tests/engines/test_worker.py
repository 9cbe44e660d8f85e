"""A worker against an end that plays the server."""

import time
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from hybridmpi.core.delays import Delays
from hybridmpi.core.messages import Push
from hybridmpi.core.worker import Compute
from hybridmpi.engines.mpi.worker import work
from hybridmpi.learning.gradients import Gradient


class End:
    """Releases the worker with these versions, and cancels while it computes on some of them."""

    def __init__(self, versions: list[int], cancelled: frozenset[int] = frozenset()) -> None:
        self.parameters, self.gradient = torch.zeros(3), torch.zeros(3)
        self.losses = [4]
        self.pushes: list[Push] = []
        self._versions = versions
        self._cancelled = cancelled
        self._version = -1

    def wait_release(self) -> int | None:
        self._version = self._versions.pop(0) if self._versions else -1
        return self._version if self._version >= 0 else None

    def is_released(self) -> bool:
        return self._version in self._cancelled

    def push(self, push: Push) -> None:
        self.pushes.append(push)


def compute(
    task: Compute, parameters: Tensor, gradient: Tensor, cancelled: Callable[[], bool]
) -> Gradient | None:
    gradient.copy_(parameters + task.version)
    return None if cancelled() else Gradient(loss=0.5, samples=7, is_finite=task.version != 3)


def pushed(end: End, delays: Delays | None = None) -> list[Push]:
    work(cast(Any, end), 2, compute, delays)
    return end.pushes


def test_each_release_is_answered_by_a_push() -> None:
    pushes = pushed(End([0, 3]))
    assert [(p.worker, p.batch, p.version) for p in pushes] == [(2, 0, 0), (2, 1, 3)]
    assert {(p.loss, p.samples) for p in pushes} == {(0.5, 7)}
    assert [p.is_finite for p in pushes] == [True, False]
    assert [p.assignment for p in pushes] == [1, 1]


def test_cancelled_batch_is_not_pushed_but_its_number_is_used_up() -> None:
    pushes = pushed(End([0, 1, 2], cancelled=frozenset({1})))
    assert [(p.batch, p.version) for p in pushes] == [(0, 0), (2, 2)]


def test_delay_is_no_part_of_the_computing_time() -> None:
    began_s = time.perf_counter()
    (push,) = pushed(End([0]), Delays(0, 1.0, 0.5, 0.5))
    assert time.perf_counter() - began_s >= 0.5
    assert push.compute_s < 0.5


def test_release_ends_a_delay() -> None:
    began_s = time.perf_counter()
    assert pushed(End([0], cancelled=frozenset({0})), Delays(0, 1.0, 60.0, 60.0)) == []
    assert time.perf_counter() - began_s < 50
