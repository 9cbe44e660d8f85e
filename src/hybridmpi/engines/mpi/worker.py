"""Ranks 1..N while training: compute a gradient, push it, wait to be released."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from hybridmpi.core.delays import Delays
from hybridmpi.core.worker import Compute, Worker
from hybridmpi.learning.gradients import Gradient

if TYPE_CHECKING:  # importing it starts MPI, which a test of this loop does without
    from hybridmpi.transport.messages import MessageWorker

_LONGEST_NAP_S = 0.01

Computation = Callable[[Compute, Tensor, Tensor, Callable[[], bool]], Gradient | None]


def work(
    end: "MessageWorker",
    number: int,
    compute: Computation,
    delays: Delays | None,
    first_batch: int = 0,
    interrupted: Callable[[], str] = lambda: "",
) -> None:
    """Compute and push gradients until told to stop.

    Args:
        end: Receives parameters and sends gradients.
        number: This worker's number.
        compute: Computes the gradient of a batch at parameters into a vector, both of shape
            [size]; returns None if its last argument, asked now and then, says to abandon it.
        delays: The extra wait behind each gradient; None for a worker that is not delayed.
        first_batch: The number of the first batch.
        interrupted: Asked for each gradient; the server is told the reason for the run's end.
    """
    worker = Worker(number, first_batch)
    began_s, reason = time.perf_counter(), ""
    while (version := end.wait_release()) is not None:
        if not reason and (reason := interrupted()):
            end.interrupt(reason)
        released_s = time.perf_counter()
        wait_s = released_s - began_s
        task = worker.release(version)
        gradient = compute(task, end.parameters, end.gradient, end.is_released)
        compute_s = time.perf_counter() - released_s
        if delays is not None:
            _delay(delays.delay_s(number, task.batch), end)
        if gradient is None or end.is_released():  # cancelled
            continue
        push = worker.push(
            loss=gradient.loss,
            samples=gradient.samples,
            compute_s=compute_s,
            wait_s=wait_s,
            is_finite=gradient.is_finite,
            assignment=len(end.losses),
        )
        began_s = time.perf_counter()
        end.push(push)


def _delay(delay_s: float, end: "MessageWorker") -> None:
    """Wait, and let messages progress meanwhile; a release ends the wait."""
    end_s = time.perf_counter() + delay_s
    while (left_s := end_s - time.perf_counter()) > 0 and not end.is_released():
        time.sleep(min(left_s, _LONGEST_NAP_S))
