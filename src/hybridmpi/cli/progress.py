"""What rank 0 shows while it trains: a line every few seconds, or a live panel."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

from hybridmpi.engines.status import Status

if TYPE_CHECKING:
    from hybridmpi.engines.mpi.train import Outcome

_EVERY_S = 5.0


class Watcher(Protocol):
    """Shows how a run is doing."""

    def tell(self, text: str) -> None:
        """Show a remark."""

    def report(self, status: Status) -> None:
        """Show the state of the run; called several times a second."""

    def conclude(self, outcome: "Outcome") -> None:
        """Show how the run ended."""


class Nobody:
    """Shows nothing: the watcher of all ranks but the server's."""

    def tell(self, text: str) -> None:  # noqa: D102
        pass

    def report(self, status: Status) -> None:  # noqa: D102
        pass

    def conclude(self, outcome: "Outcome") -> None:  # noqa: D102
        pass


class Lines(Nobody):
    """Writes a line every few seconds."""

    def __init__(self) -> None:
        self._next_s = 0.0
        self._phase = ""

    def tell(self, text: str) -> None:  # noqa: D102
        click.echo(text)

    def report(self, status: Status) -> None:  # noqa: D102
        if status.time_s < self._next_s and status.phase == self._phase:
            return
        self._next_s, self._phase = status.time_s + _EVERY_S, status.phase
        click.echo(
            f"{status.phase}: {status.time_s:.0f} s, {status.gradients} gradients "
            f"({status.gradients_per_s:.0f}/s), version {status.version}, threshold "
            f"{status.threshold}, buffered {status.buffered}, staleness "
            f"{status.mean_staleness:.1f}, train loss {status.train_loss:.4f}, "
            f"{status.left_s:.0f} s left"
        )

    def conclude(self, outcome: "Outcome") -> None:  # noqa: D102
        accuracy = outcome.test_accuracy
        shown = "not evaluated" if accuracy is None else f"{100 * accuracy:.2f} %"
        click.echo(f"{outcome.status} ({outcome.reason}): test accuracy {shown}, {outcome.path}")


@contextmanager
def watch(*, live: bool, is_shown: bool) -> Iterator[Watcher]:
    """Choose a watcher."""
    yield Lines() if is_shown else Nobody()
