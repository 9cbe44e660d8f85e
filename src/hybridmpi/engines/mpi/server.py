"""Rank 0 while training: waits for pushes, and does what is due now and then."""

import math
import time
from collections.abc import Callable

from hybridmpi.core.server import Limits
from hybridmpi.engines.server import Server
from hybridmpi.engines.status import Report
from hybridmpi.errors import RunFailed
from hybridmpi.transport.messages import MessageServer
from hybridmpi.transport.waiting import Patience

_HOUSEKEEPING_S = 0.1
_LULL_S = 0.5e-3  # without a push; within it the next ones may be added up in the same pass


class Loop:
    """Drives a server with real messages and real time."""

    def __init__(
        self,
        server: Server,
        end: MessageServer,
        *,
        limits: Limits,
        patience: Patience,
        straggler_limit_s: float,
        interrupted: Callable[[], str] = lambda: "",
        report: Report = lambda _: None,
        start: Callable[[], float] | None = None,
        look: Callable[[float, str], None] = lambda *_: None,
        look_for_losses: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepare to serve.

        Args:
            server: Takes the pushes.
            end: Its end of the transport.
            limits: Where the run ends.
            patience: How to wait for pushes.
            straggler_limit_s: How long to wait, at the end, for workers that still compute.
            interrupted: Asked now and then; a reason ends the run.
            report: Told now and then how the run is doing.
            start: Starts the server, and returns the time on the training clock; from the beginning
                if not given.
            look: Called now and then, before anything else is done, with the time, and the signal
                that asked for the end if one did.
            look_for_losses: Called now and then, and when the transport is disturbed, with the
                time.
            clock: Returns seconds, never decreasing.
        """
        self._server = server
        self._end = end
        self._limits = limits
        self._patience = patience
        self._straggler_limit_s = straggler_limit_s
        self._interrupted = interrupted
        self._report = report
        self._start = start or self._start_anew
        self._look = look
        self._look_for_losses = look_for_losses
        self._clock = clock
        self._started_s = 0.0
        self._next_housekeeping_s = 0.0
        self._busy_until_s = 0.0

    def serve(self) -> bool:
        """Train until a limit is reached.

        Returns:
            Whether all workers have heard of the end; if not, some still compute.

        Raises:
            RunFailed: If a worker failed, or too many gradients in a row were not finite.
        """
        core = self._server.core
        self._started_s = self._clock() - self._start()
        while not core.is_finished:
            if not self._take_arrivals():
                self._add_up_in_a_lull()
                self._patience.pause()
            is_due = self._now_s() >= self._next_housekeeping_s or self._end.is_disturbed
            if is_due and not self._keep_house():
                break
        self._server.finish()
        return core.is_finished

    def _start_anew(self) -> float:
        self._server.start()
        return 0.0

    def _now_s(self) -> float:
        return self._clock() - self._started_s

    def _take_arrivals(self) -> bool:
        """Take what has arrived; how long each push kept the server busy includes receiving it."""
        has_arrived, free_s = False, self._now_s()
        for push in self._end.arrivals():
            has_arrived = True
            self._server.take(push, self._now_s())
            busy_since_s, free_s = free_s, self._now_s()
            self._server.recorder.served(free_s - busy_since_s)
        if has_arrived:
            self._busy_until_s = free_s
            self._patience.reset()
        return has_arrived

    def _add_up_in_a_lull(self) -> None:
        """Use the wait for the next push, or make room for it."""
        now_s = self._now_s()
        if self._end.is_full or now_s > self._busy_until_s + _LULL_S:
            if self._server.add_up():
                self._server.recorder.served_also(self._now_s() - now_s)
            self._busy_until_s = math.inf  # until the next arrival there is nothing more to add

    def _keep_house(self) -> bool:
        """Do what is due now and then; say whether to go on."""
        server, now_s = self._server, self._now_s()
        self._next_housekeeping_s = now_s + _HOUSEKEEPING_S
        if failure := self._end.failure():
            raise RunFailed(failure)
        self._look_for_losses(now_s)
        interruption = self._interrupted()
        if not server.core.stop_reason:
            self._look(now_s, interruption)
        reason = interruption or ("time limit" if now_s >= self._limits.time_s else "")
        if reason and not server.core.stop_reason:
            server.carry_out(server.core.stop(reason), now_s)
        server.recorder.flush_if_due(now_s)
        self._report(server.status(now_s))
        return not (server.end_s and now_s > server.end_s + self._straggler_limit_s)
