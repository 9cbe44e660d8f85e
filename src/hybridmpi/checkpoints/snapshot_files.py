"""Snapshots that checkpoints refer to: each in a file of its own, written once.

A snapshot waits for the end of the run to be evaluated, and every checkpoint until then needs it.
The file's name holds a hash of its content: a run that goes on from an older checkpoint may come to
other parameters at the same version.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from hybridmpi.checkpoints.tensors import hash_of, write_tensors

_NAME = re.compile(r"snapshot-(\d{1,18})-([0-9a-f]{64})\.safetensors")
_KEY = "parameters"


class SnapshotFiles:
    """Writes the snapshots of one run into the folder of its checkpoints."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, tuple[Tensor, str]] = {}

    def write(self, snapshots: Mapping[str, Tensor]) -> dict[str, str]:
        """Write those that are not there yet, and return the names of all files by version.

        Args:
            snapshots: By version; nobody changes them any more.

        Raises:
            UserError: If one cannot be written there.
        """
        for version, tensor in snapshots.items():
            if version not in self._written or self._written[version][0] is not tensor:
                self._written[version] = tensor, self._write(version, tensor)
        return {version: self._written[version][1] for version in snapshots}

    def remove_all_but(self, needed: Iterable[str]) -> None:
        """Remove the files that no checkpoint needs any more."""
        needed = set(needed)
        self._written = {v: held for v, held in self._written.items() if held[1] in needed}
        for path in self._folder.glob("snapshot-*"):
            if _NAME.fullmatch(path.name) and path.name not in needed:
                path.unlink(missing_ok=True)

    def _write(self, version: str, tensor: Tensor) -> str:
        content = {_KEY: tensor}
        name = f"snapshot-{int(version):09}-{hash_of(content)}.safetensors"
        if not (self._folder / name).exists():
            write_tensors(self._folder / name, content, {})
        return name


def read_snapshot(folder: Path, version: str, name: str) -> Tensor:
    """Read the snapshot of a version.

    Raises:
        ValueError: If the file is another one's, or damaged.
        OSError: If it is not there; or SafetensorError, if it is no such file.
    """
    from safetensors import safe_open

    match = _NAME.fullmatch(name)
    if match is None or int(match[1]) != int(version):
        raise ValueError(f"'{name}' is no snapshot of version {version}")
    with safe_open(folder / name, "pt") as file:
        tensor: Tensor = file.get_tensor(_KEY)
    if hash_of({_KEY: tensor}) != match[2]:
        raise ValueError(f"'{name}' is damaged")
    return tensor
