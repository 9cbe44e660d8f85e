"""Writing a file whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybridmpi.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; when all went well it takes the place of `path`.

    Missing folders are made.

    Raises:
        UserError: If the file cannot be written there.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write '{path}': {error.strerror or error}; "
            "name a file in a folder that you may write to and that has room"
        ) from error


def check_free(path: Path, force: bool) -> None:
    """Refuse a path that is a folder, or that exists unless `force` allows to replace it.

    Raises:
        UserError: If so.
    """
    if path.is_dir():
        raise UserError(f"'{path}' is a folder; name a file")
    if path.exists() and not force:
        raise UserError(f"'{path}' exists already; name another file, or replace it with --force")
