"""Writes checkpoints when they are due, and keeps the newest."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from hybridmpi.checkpoints.file import (
    SNAPSHOT,
    State,
    checkpoints_in,
    folder_of,
    named,
    snapshots_of,
    without_prefix,
    write_state,
)
from hybridmpi.checkpoints.snapshot_files import SnapshotFiles
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.runlog.claim import Claim


class Keeper:
    """Writes a run's checkpoints into the folder beside its run file."""

    def __init__(
        self,
        run_file: Path,
        *,
        every_s: float | None,
        every_steps: int | None,
        keep: int,
        version: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to count.

        Args:
            run_file: The run file; the folder is made when the first checkpoint is written.
            every_s: Seconds of real time between them; by steps alone if not given.
            every_steps: Steps between them; by time alone if not given.
            keep: How many of the newest stay.
            version: The server's.
            clock: Returns seconds.
        """
        self._folder = folder_of(run_file)
        self._snapshots = SnapshotFiles(self._folder)
        self._claim = Claim(run_file)
        self._every_s = every_s
        self._every_steps = every_steps
        self._keep = keep
        self._clock = clock
        self._last_s = clock()
        self._last_version = version

    @property
    def is_wanted(self) -> bool:
        """Whether the job asks for checkpoints."""
        return self._every_s is not None or self._every_steps is not None

    def is_due(self, version: int) -> bool:
        """Say whether a checkpoint is due, the server being at this version."""
        steps = version - self._last_version
        return (self._every_steps is not None and steps >= self._every_steps) or (
            self._every_s is not None and self._clock() - self._last_s >= self._every_s
        )

    def clear(self, beyond: int = -1) -> None:
        """Remove the checkpoints of what this run takes the place of: those beyond a version."""
        for old in checkpoints_in(self._folder):
            if int(old.stem) > beyond:
                old.unlink()
        self._remove_snapshots(checkpoints_in(self._folder))

    def write(self, version: int, state: State) -> Path:
        """Write a checkpoint, and remove the oldest where there are too many.

        Later versions are removed, too: they were of a run that went on otherwise.

        Raises:
            RunFailed: If it cannot be written; those before it stay. Or if another process goes on
                with this run, and the folder is no longer ours.
        """
        self._claim.check()
        path = named(self._folder, version)
        snapshots = without_prefix(SNAPSHOT, state.tensors)
        others = {
            name: tensor
            for name, tensor in state.tensors.items()
            if not name.startswith(f"{SNAPSHOT}.")
        }
        try:
            names = self._snapshots.write(snapshots)
            write_state(path, State(others, state.facts), names)
        except UserError as error:
            self._remove_snapshots(checkpoints_in(self._folder))
            raise RunFailed(
                f"the checkpoint of version {version} could not be written: {error}; "
                f"{self._what_is_left()}"
            ) from error
        self._remove_old(path)
        self._last_s, self._last_version = self._clock(), version
        return path

    def _remove_old(self, newest: Path) -> None:
        found = checkpoints_in(self._folder)
        kept = found[: found.index(newest) + 1][-self._keep :]
        for other in found:
            if other not in kept:
                other.unlink()
        self._remove_snapshots(kept)

    def _remove_snapshots(self, kept: Sequence[Path]) -> None:
        """Remove those that no checkpoint needs; if one cannot be read, all stay."""
        with suppress(UserError):
            self._snapshots.remove_all_but(name for path in kept for name in snapshots_of(path))

    def _what_is_left(self) -> str:
        if found := checkpoints_in(self._folder):
            return f"resume the one before it, of version {int(found[-1].stem)}: '{found[-1]}'"
        return "there is none before it"
