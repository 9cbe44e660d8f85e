"""Writes checkpoints behind the run's back: it goes on while they are written."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from hybridmpi.checkpoints.file import State
from hybridmpi.checkpoints.keeper import Keeper


class WriterBehind:
    """Writes one checkpoint at a time in a thread of its own."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._writing: Future[Path] | None = None

    def is_due(self, version: int) -> bool:
        """Say whether a checkpoint is due, and the last one is written.

        Raises:
            RunFailed: If that one could not be written.
        """
        if self._writing is not None:
            if not self._writing.done():
                return False
            self._writing.result()
            self._writing = None
        return self.keeper.is_due(version)

    def write(self, version: int, state: State) -> None:
        """Begin to write a state, which nobody changes any more, once the last one is written.

        Raises:
            RunFailed: If that one could not be written.
        """
        self.finish()
        self._writing = self._thread.submit(self.keeper.write, version, state)

    def finish(self) -> None:
        """Wait until all is written.

        Raises:
            RunFailed: If it could not be.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()
