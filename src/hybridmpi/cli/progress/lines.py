"""A line every few seconds, for log files and pipes."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from hybridmpi.cli.progress import wording
from hybridmpi.cli.progress.recent import Recent
from hybridmpi.cli.progress.summary import summary
from hybridmpi.engines.status import Status

if TYPE_CHECKING:
    from hybridmpi.engines.outcome import Outcome

_FIRST_S, _EVERY_S = 2.0, 5.0  # then at 5 s, 10 s, ... of each phase
_HEAD = (
    "       time        left   gradients      /s   version  threshold  buffered  staleness"
    "  train loss"
)


class Lines:
    """Writes plain lines to stdout."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent = Recent()
        self._phase = ""
        self._began_s = self._next_s = 0.0
        self._last: Status | None = None

    def tell(self, text: str) -> None:
        """Write a remark."""
        click.echo(text)

    def report(self, status: Status) -> None:
        """Write a line where one is due."""
        self._last = status
        self._recent.note(status)
        now_s = self._clock()
        if status.phase != self._phase:
            self._begin(status, now_s)
        elif now_s >= self._next_s:
            spent_s = now_s - self._began_s
            self._next_s = self._began_s + _EVERY_S * (1 + spent_s // _EVERY_S)
            click.echo(self._line(status, now_s))

    def clear(self) -> None:
        """Lines stay."""

    def conclude(self, outcome: "Outcome") -> None:
        """Write how the run ended."""
        click.echo(summary(outcome, self._last).plain)

    def _begin(self, status: Status, now_s: float) -> None:
        self._phase = status.phase
        self._began_s, self._next_s = now_s, now_s + _FIRST_S
        self._recent.left_s(status, now_s)  # the phase begins to count
        click.echo(_HEAD if status.phase == "training" else f"{status.phase} ...")

    def _line(self, status: Status, now_s: float) -> str:
        left_s = self._recent.left_s(status, now_s)
        if status.phase != "training":
            done = f" {status.fraction:.0%}" if status.phase == "evaluating" else ""
            return f"{status.phase}{done}  {wording.left(left_s)}".rstrip()
        discarded = f"  {status.discarded:,} discarded" if status.discarded else ""
        return (
            f"{wording.duration(status.time_s):>11}"
            f"{wording.duration(left_s) if left_s is not None else '-':>12}"
            f"{status.gradients:>12,}"
            f"{self._recent.gradients_per_s(status):>8,.0f}"
            f"{status.version:>10,}"
            f"{status.threshold:>11}"
            f"{status.buffered:>10}"
            f"{status.mean_staleness:>11.1f}"
            f"{wording.loss(self._recent.loss):>12}"
            f"{discarded}"
        )
