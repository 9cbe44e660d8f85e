"""A checkpoint's file: safetensors, whose reading executes nothing, with the rest as JSON."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from hybridmpi.errors import UserError
from hybridmpi.runlog.replacing import replacing

_KEY = "hybridmpi"
_FORMAT = 1
_SUFFIX = ".safetensors"
_FOLDER_SUFFIX = ".checkpoints"


class State(NamedTuple):
    """What a run, or a part of it, is to go on from.

    Attributes:
        tensors: By name.
        facts: All else, as JSON holds it.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def write_state(path: Path, state: State) -> None:
    """Write a file whole or not at all, and have it on the disk before this returns.

    Raises:
        UserError: If it cannot be written there.
    """
    from safetensors.torch import save_file

    facts = json.dumps({"format": _FORMAT, **state.facts})
    with replacing(path) as beside:
        save_file(state.tensors, beside, metadata={_KEY: facts})
        _to_disk(beside)
    _to_disk(path.parent)


def read_state(path: Path) -> State:
    """Read a file.

    Raises:
        UserError: If it is not there, is no checkpoint, is damaged, or of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get(_KEY, "null"))
            if not isinstance(facts, dict):
                raise UserError(f"'{path}' is no checkpoint of hybridmpi; name one that it wrote")
            if facts.pop("format", None) != _FORMAT:
                raise UserError(
                    f"'{path}' is a checkpoint of another format; resume it with the version of "
                    "hybridmpi that wrote it"
                )
            return State({name: file.get_tensor(name) for name in file.keys()}, facts)  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UserError(f"the checkpoint '{path}' cannot be read: {error}") from error


@contextmanager
def as_damage() -> Iterator[None]:
    """Say of what fails within, a run's going on from a state, that the checkpoint is damaged.

    Raises:
        UserError: If so.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UserError(
            f"the checkpoint is damaged, or of another job ({type(error).__name__}: {error}); "
            "resume an older one, or start the run anew"
        ) from error


def named(folder: Path, version: int) -> Path:
    """Return the path of the checkpoint of a version."""
    return folder / f"{version:09}{_SUFFIX}"


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest last."""
    found = [path for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdecimal()]
    return sorted(found, key=lambda path: int(path.stem))


def newest(path: Path) -> Path:
    """Return the newest checkpoint in a folder, or the one that is named itself.

    Raises:
        UserError: If there is none.
    """
    if not path.is_dir():
        return path
    if found := checkpoints_in(path):
        return found[-1]
    raise UserError(f"'{path}' holds no checkpoint; start the run anew")


def folder_of(run_file: Path) -> Path:
    """Return the folder of a run's checkpoints."""
    return run_file.with_name(run_file.name + _FOLDER_SUFFIX)


def run_file_of(checkpoint: Path) -> Path:
    """Return the run file that a checkpoint belongs to.

    Raises:
        UserError: If it has been moved elsewhere.
    """
    folder = checkpoint.absolute().parent
    if not folder.name.endswith(_FOLDER_SUFFIX):
        raise UserError(
            f"'{checkpoint}' is not in a folder *{_FOLDER_SUFFIX} beside its run file; put it there"
        )
    return folder.with_name(folder.name.removesuffix(_FOLDER_SUFFIX))


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors with a prefix before each name."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those tensors whose names have a prefix, by what stands behind it."""
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
