"""A file that this process writes, until another process puts one in its place."""

from pathlib import Path

from hybridmpi.errors import RunFailed


class Claim:
    """Tells whether a path still leads to one's own file.

    A process that is believed dead, on a node that was cut off, may live on while a scheduler has
    others go on with its run. These put a new run file in the place of the old one, and nothing of
    theirs may be touched from then on.
    """

    def __init__(self, path: Path, beside: Path | None = None) -> None:
        """Note which file is one's own.

        Args:
            path: Where it is to be.
            beside: Where it is until it is moved there, if not there already.
        """
        self._path = path
        self._number = _number(beside or path)

    def check(self) -> None:
        """Refuse to go on if another file has taken the place.

        Raises:
            RunFailed: If so.
        """
        if _number(self._path) not in (None, self._number):
            raise RunFailed(
                f"another process has put a new file in the place of '{self._path}', and goes on "
                "with the run or began it anew; this one ends, and leaves all of that alone"
            )


def _number(path: Path) -> int | None:
    """Return the file's number, which no other file has while it is open; None if it is gone."""
    try:
        return path.stat().st_ino
    except OSError:
        return None
