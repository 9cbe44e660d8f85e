"""Reading files that others made: looked for, checked, never trusted before."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hybridmpi.errors import UserError


def missing(name: str, root: Path, looked_for: str) -> UserError:
    """Say that none of the files `looked_for` lies below `root`."""
    return UserError(
        f"data set '{name}': found no {looked_for} in data.root={root}; set data.root to the "
        "folder that holds it, or data.download=true to fetch it there"
    )


def damaged(source: str, problem: str) -> UserError:
    """Say that the file `source` is not the known one."""
    return UserError(
        f"{source} is damaged: {problem}; delete it and fetch it again, for instance with "
        "data.download=true"
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell errors of the system within as those of reading `path`.

    Raises:
        UserError: If there was one.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror or error}; see that it is a file of yours, on "
            "a disk that works"
        ) from error


def read_checked(stream: IO[bytes], source: str, *, md5: str | None, most_bytes: int) -> bytes:
    """Read a whole file whose content is known beforehand.

    Args:
        stream: Where to read from.
        source: What to call it in messages.
        md5: The checksum of the intact file, or None where nobody has stated one.
        most_bytes: No intact file is longer; no more is held in memory.

    Raises:
        UserError: If the file is too long, or its checksum another.
    """
    content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise damaged(source, f"it is longer than {most_bytes} bytes")
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 not in (None, found):
        raise damaged(source, f"its md5 is {found}, but must be {md5}")
    return content


def download(name: str, torchvision_class: str, root: Path) -> None:
    """Fetch a data set into `root` with torchvision's downloader, which checks what it fetches.

    One process at a time may do so in one folder.

    Raises:
        UserError: If it can't be fetched or written.
    """
    import torchvision.datasets  # seconds of start-up, which only a download should pay

    try:
        getattr(torchvision.datasets, torchvision_class)(root, download=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"data set '{name}' could not be downloaded into data.root={root}: {error}; check the "
            "connection, or put the files there by hand and set data.download=false"
        ) from error
