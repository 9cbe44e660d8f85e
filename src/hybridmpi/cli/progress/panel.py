"""A live panel, for a terminal."""

import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.box import ROUNDED
from rich.console import Console, Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hybridmpi.cli.progress import wording
from hybridmpi.cli.progress.history import History, sparkline
from hybridmpi.cli.progress.recent import Recent
from hybridmpi.cli.progress.screen import Screen
from hybridmpi.cli.progress.summary import summary
from hybridmpi.engines.status import Status

if TYPE_CHECKING:
    from hybridmpi.engines.outcome import Outcome

_EVERY_S = 0.25
_WIDTH = 84
_MOST_DOTS = 25
_HISTORY = 18


def terminal() -> Console:
    """Return the terminal behind mpirun, whose ranks write to pipes; its size is in COLUMNS."""
    return Console(file=sys.stdout, force_terminal=True)


def is_fit(console: Console) -> bool:
    """Say whether the panel can be drawn here."""
    return console.width >= 60 and console.height >= 12 and not console.is_dumb_terminal


class LivePanel:
    """Redraws a panel a few times a second."""

    def __init__(
        self,
        console: Console,
        title: str,
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._screen = Screen(console.file)
        self._title = title
        self._workers = workers
        self._clock = clock
        self._recent = Recent()
        self._history = History(_HISTORY)
        self._phase = ""
        self._next_s = 0.0
        self._last: Status | None = None

    def tell(self, text: str) -> None:
        """Write a remark above the panel."""
        self._console.print(Text(text), soft_wrap=True)

    def report(self, status: Status) -> None:
        """Redraw the panel where that is due."""
        self._last = status
        self._recent.note(status)
        now_s = self._clock()
        if now_s >= self._next_s or status.phase != self._phase:
            self._next_s, self._phase = now_s + _EVERY_S, status.phase
            self._draw(status, now_s)

    def clear(self) -> None:
        """Take the panel away."""
        if self._last is not None:
            self._screen.clear()

    def conclude(self, outcome: "Outcome") -> None:
        """Write how the run ended."""
        self._console.print(summary(outcome, self._last), soft_wrap=True)

    def _draw(self, status: Status, now_s: float) -> None:
        loss = self._recent.loss
        if status.phase == "training" and loss is not None and math.isfinite(loss):
            self._history.add(loss)
        panel = Panel(
            Group(self._bar(status, now_s), "", self._facts(status)),
            box=ROUNDED,
            title=f"[bold]hybridmpi[/]  {self._title}",
            title_align="left",
            border_style="blue",
            padding=(0, 1),
            width=min(self._console.width, _WIDTH),
        )
        with self._console.capture() as capture:
            self._console.print(panel)
        self._screen.draw(capture.get())

    def _bar(self, status: Status, now_s: float) -> Table:
        row = Table.grid(padding=(0, 2), expand=True)
        row.add_column(no_wrap=True, style="bold")
        row.add_column(ratio=1)
        row.add_column(no_wrap=True, justify="right", min_width=22)
        left = wording.left(self._recent.left_s(status, now_s))
        spent = wording.duration(status.time_s)
        row.add_row(
            status.phase,
            ProgressBar(total=1.0, completed=status.fraction, complete_style="cyan"),
            f"{spent}, {left}" if left else spent,
        )
        return row

    def _facts(self, status: Status) -> Table:
        rate = self._recent.gradients_per_s(status)
        left = {
            "gradients": Text(f"{status.gradients:,}").append(f"   {rate:,.0f}/s", "green"),
            "version": Text(f"{status.version:,}"),
            "train loss": Text(f"{wording.loss(self._recent.loss):<8} ").append(
                sparkline(self._history.values), "magenta"
            ),
        }
        if status.discarded:
            left["discarded"] = Text(f"{status.discarded:,}", "red")
        if status.phase == "evaluating":  # the gradient buffer is history
            return _side_by_side(left, {})
        right = {
            "threshold": Text(f"{status.threshold} of {self._workers} workers"),
            "buffered": Text(f"{status.buffered:<3}").append(*_dots(status)),
            "staleness": Text(f"{status.mean_staleness:.1f}").append(" mean", "dim"),
        }
        return _side_by_side(left, right)


def _dots(status: Status) -> tuple[str, str]:
    """Draw the gradient buffer: how full it is, up to the threshold."""
    if status.threshold > _MOST_DOTS:
        return "", ""
    empty = status.threshold - status.buffered
    return "●" * status.buffered + "○" * empty, "yellow"


def _side_by_side(left: dict[str, Text], right: dict[str, Text]) -> Table:
    grid = Table.grid(padding=(0, 2), expand=True)
    for _ in range(2):
        grid.add_column(no_wrap=True, style="dim", width=10)
        grid.add_column(no_wrap=True, ratio=1, overflow="crop")
    blank = ("", Text())
    rows = max(len(left), len(right))
    columns = [[*facts.items(), *[blank] * (rows - len(facts))] for facts in (left, right)]
    for (name, value), (other_name, other_value) in zip(*columns, strict=True):
        grid.add_row(name, value, other_name, other_value)
    return grid
