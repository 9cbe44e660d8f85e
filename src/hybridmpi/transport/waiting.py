"""How a rank waits: it looks again and again, and in between leaves the processor to others.

No rank ever blocks inside MPI. A blocked rank would run its signal handlers only when a message
comes, and with MPICH, which spins, it would take the processor from the ranks that compute.
"""

import os
import time
from collections.abc import Callable

LONGEST_PAUSE_S = 0.01
_SHORTEST_PAUSE_S = 50e-6
_YIELDING_S = 0.5e-3


class Patience:
    """Pauses between two looks: none where every rank has a core, else longer and longer ones.

    At first the processor is only yielded, which costs nothing where it is idle and a whole turn
    of the others where it is not; then pauses are a fraction of the time waited so far, so that
    what is waited for is noticed late by no more than that fraction. Where waits resemble each
    other, as a worker's for its releases do, the first pause is half of the last wait: with 25
    workers that keep a server busy, that saves them most of their looks.
    """

    def __init__(
        self, *, shares_cores: bool, waits_alike: bool = False, fraction: float = 1 / 8
    ) -> None:
        self._shares_cores = shares_cores
        self._waits_alike = waits_alike
        self._fraction = fraction
        self._began_s = 0.0
        self._waited_s = 0.0
        self._waited_last_s = 0.0

    def reset(self) -> None:
        """Begin to wait for something new."""
        if self._began_s:
            self._waited_last_s = self._waited_s
            self._began_s = self._waited_s = 0.0

    def pause(self) -> None:
        """Wait a little before the next look."""
        if not self._shares_cores:
            return
        now_s = time.perf_counter()
        if not self._began_s:
            self._began_s = now_s
            if self._waits_alike and self._waited_last_s > 2 * _YIELDING_S:
                time.sleep(min(self._waited_last_s / 2, LONGEST_PAUSE_S))
                return
        self._waited_s = now_s - self._began_s
        if self._waited_s < _YIELDING_S:
            os.sched_yield()
        else:
            time.sleep(
                min(max(self._waited_s * self._fraction, _SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
            )


def wait_until(is_done: Callable[[], bool], patience: Patience, limit_s: float) -> bool:
    """Look until `is_done`, for at most `limit_s` seconds; say whether it was."""
    end_s = time.perf_counter() + limit_s
    patience.reset()
    while not is_done():
        if time.perf_counter() >= end_s:
            return False
        patience.pause()
    return True
