"""A checkpoint's file: safetensors, whose reading executes nothing, with the rest as JSON."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

from hybridmpi.checkpoints.snapshot_files import read_snapshot
from hybridmpi.checkpoints.tensors import hash_of, write_tensors
from hybridmpi.errors import UserError

SNAPSHOT = "snapshot"  # prefix of the tensors that may lie in files of their own
_FACTS, _SNAPSHOTS, _HASH = "hybridmpi", "snapshots", "sha256"  # in the file's metadata
_FORMAT = 2
_MOST_FACTS = 90_000_000  # characters; safetensors reads no header beyond 100 million bytes
_SUFFIX = ".safetensors"
_FOLDER_SUFFIX = ".checkpoints"
# What a file that holds something else makes json, torch and our own code raise.
_DAMAGE = (OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError)


class State(NamedTuple):
    """What a run, or a part of it, is to go on from.

    Attributes:
        tensors: By name.
        facts: All else, as JSON holds it.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def write_state(
    path: Path, state: State, snapshots: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write a file whole or not at all, and have it on the disk before this returns.

    Args:
        path: The file.
        state: What it is to hold.
        snapshots: Names of files beside it, by version, whose tensors belong to the state, too.

    Raises:
        UserError: If it cannot be written there.
    """
    facts = json.dumps({"format": _FORMAT, **state.facts})
    if len(facts) > _MOST_FACTS:
        raise UserError(f"'{path}' would be too large: the state of too many workers")
    names = json.dumps(dict(snapshots))
    known = {_FACTS: facts, _SNAPSHOTS: names, _HASH: hash_of(state.tensors, facts, names)}
    write_tensors(path, state.tensors, known)


def read_state(path: Path) -> State:
    """Read a file, and the snapshots that it names, in memory in proportion to their length.

    Raises:
        UserError: If it is not there, is no checkpoint, is damaged, or of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            known = file.metadata() or {}
            facts = _facts(path, known.get(_FACTS, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        names = known.get(_SNAPSHOTS, "")
        if known.get(_HASH) != hash_of(tensors, known[_FACTS], names):
            raise ValueError("its content is not what was written")
        for version, name in json.loads(names).items():
            tensors[f"{SNAPSHOT}.{version}"] = read_snapshot(path.parent, version, name)
    except MemoryError:
        raise UserError(f"the checkpoint '{path}' needs more memory than there is") from None
    except (SafetensorError, *_DAMAGE) as error:
        raise UserError(f"the checkpoint '{path}' cannot be read: {error}") from error
    return State(tensors, facts)


def snapshots_of(path: Path) -> set[str]:
    """Return the names of the files that a checkpoint refers to.

    Raises:
        UserError: If it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return set(json.loads((file.metadata() or {}).get(_SNAPSHOTS, "{}")).values())
    except (SafetensorError, *_DAMAGE) as error:
        raise UserError(f"the checkpoint '{path}' cannot be read: {error}") from error


def _facts(path: Path, text: str) -> dict[str, Any]:
    facts = json.loads(text)
    if not isinstance(facts, dict):
        raise UserError(f"'{path}' is no checkpoint of hybridmpi; name one that it wrote")
    if facts.pop("format", None) != _FORMAT:
        raise UserError(
            f"'{path}' is a checkpoint of another format; resume it with the version of "
            "hybridmpi that wrote it"
        )
    return facts


@contextmanager
def as_damage() -> Iterator[None]:
    """Say of what fails within, a run's going on from a state, that the checkpoint is damaged.

    Raises:
        UserError: If so.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UserError(
            f"the checkpoint is damaged, or of another job ({type(error).__name__}: {error}); "
            "resume an older one, or start the run anew"
        ) from error


def named(folder: Path, version: int) -> Path:
    """Return the path of the checkpoint of a version."""
    return folder / f"{version:09}{_SUFFIX}"


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest last."""
    found = [
        path for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdecimal() and path.is_file()
    ]
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
