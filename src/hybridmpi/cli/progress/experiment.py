"""What `compare` shows while it runs: a line for each run that ended, under it a bar."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hybridmpi.cli.progress import wording
from hybridmpi.experiments.plan import PlannedRun
from hybridmpi.experiments.work import Ended


class Lines:
    """A line for each run that ended, with the time left."""

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._clock = clock
        self._began_s = clock()
        self.total = self.finished = self._made = 0

    def begin(self, total: int, finished: int) -> None:
        """Say how much there is to do."""
        self._began_s = self._clock()
        self.total, self.finished = total, finished
        there = f", of which {finished} are there already" if finished else ""
        self.console.print(f"{total} runs{there}")

    def tick(self) -> None:
        """Lines stay as they are."""

    def ended(self, run: PlannedRun, how: Ended | Exception) -> None:
        """Write how a run ended, and how long the rest will take."""
        self.finished += 1
        self._made += 1
        left = wording.left(self.left_s) if self.finished < self.total else ""
        count = f"[{self.finished:>{len(str(self.total))}}/{self.total}]"
        text = f"{count} {describe(run)}: {_how(how)}{f'; {left}' if left else ''}"
        self.console.print(escape(text))

    @property
    def left_s(self) -> float | None:
        """Seconds left, if the runs to come take as long as those so far; None before the first."""
        if not self._made:
            return None
        return (self._clock() - self._began_s) / self._made * (self.total - self.finished)


class Bar(Lines):
    """The same, above a bar that stays at the bottom of the terminal."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress.console)
        self._progress = progress
        self._task = progress.add_task("", start=False, left="")

    def begin(self, total: int, finished: int) -> None:
        """Draw the bar."""
        super().begin(total, finished)
        self._progress.update(self._task, total=total, completed=finished)

    def tick(self) -> None:
        """Bring the bar and the time left up to date."""
        left = wording.left(self.left_s)
        self._progress.update(self._task, completed=self.finished, left=left)


def describe(run: PlannedRun) -> str:
    """Name a run by its first place."""
    place = run.places[0]
    cell = [f"{name} = {value}" for name, value in place.cell]
    tuning = ["tuning"] if run.is_tuning else []
    return ", ".join([*tuning, place.variant, *cell, f"seed {place.seed}"])


@contextmanager
def watch_runs() -> Iterator[Lines]:
    """Choose what suits the place that standard output goes to."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console) as progress:
        yield Bar(progress)


def _how(how: Ended | Exception) -> str:
    if isinstance(how, Exception):
        return wording.in_one_line(f"broken, {type(how).__name__}: {how}")
    if how.status == "failed":
        return f"failed: {wording.in_one_line(how.reason)}"
    return f"{how.status} in {wording.duration(how.seconds)}"
