"""What rank 0 shows while it trains: a line every few seconds, or a live panel."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from hybridmpi.engines.status import Status

if TYPE_CHECKING:
    from hybridmpi.engines.outcome import Outcome


class Watcher(Protocol):
    """Shows how a run is doing."""

    def tell(self, text: str) -> None:
        """Show a remark."""

    def report(self, status: Status) -> None:
        """Show the state of the run; called several times a second."""

    def clear(self) -> None:
        """Take away what stands only while the run goes on."""

    def conclude(self, outcome: "Outcome") -> None:
        """Show how the run ended."""


class Nobody:
    """Shows nothing: the watcher of all ranks but the server's."""

    def tell(self, text: str) -> None:  # noqa: D102
        pass

    def report(self, status: Status) -> None:  # noqa: D102
        pass

    def clear(self) -> None:  # noqa: D102
        pass

    def conclude(self, outcome: "Outcome") -> None:  # noqa: D102
        pass


@contextmanager
def watch(*, live: bool, is_shown: bool, title: str = "", workers: int = 0) -> Iterator[Watcher]:
    """Choose a watcher; what it shows of the run alone is gone when the block is left.

    Args:
        live: Show a panel, where the terminal is one that can, and large enough.
        is_shown: Whether this rank shows anything.
        title: The run's name.
        workers: Number of workers.
    """
    watcher = _shown(live, title, workers) if is_shown else Nobody()
    try:
        yield watcher
    finally:
        watcher.clear()


def _shown(live: bool, title: str, workers: int) -> Watcher:
    from hybridmpi.cli.progress.lines import Lines
    from hybridmpi.cli.progress.panel import LivePanel, is_fit, terminal

    if live and is_fit(console := terminal()):
        return LivePanel(console, title, workers)
    return Lines()
