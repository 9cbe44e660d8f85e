"""Signals that ask for the end of a run."""

import signal
from collections.abc import Callable


class Interruption:
    """Remembers that a signal asked for the end; the server looks at it now and then."""

    def __init__(self) -> None:
        self._name = ""
        self._handle(self._remember)

    def reason(self) -> str:
        """Return the signal's name, or nothing."""
        return self._name

    def ignore(self) -> None:
        """Ignore signals from now on: one more of them must not kill a rank that is ending."""
        self._handle(signal.SIG_IGN)

    def _handle(self, handler: Callable[[int, object], None] | signal.Handlers) -> None:
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handler)

    def _remember(self, number: int, _: object) -> None:
        self._name = signal.Signals(number).name
