"""Reads a TOML file that somebody has written."""

import tomllib
from pathlib import Path
from typing import Any

from hybridmpi.errors import UserError
from hybridmpi.text_files import decoded

_LARGEST_FILE = 1 << 20


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """Return what a TOML file holds.

    Args:
        path: The file.
        kind: What it holds, for the message of an error: "job", "experiment".

    Raises:
        UserError: If it cannot be read, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise UserError(f"the {kind} file {path} cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST_FILE:
        raise UserError(f"the {kind} file {path} is larger than 1 MiB; is it one?")
    text = decoded(content, f"the {kind} file {path}")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: int has a limit
        raise UserError(f"{path} is not a TOML file: {error}") from None
