"""CIFAR-10, read from its unpacked folder or straight from its archive.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The checksums are
those of torchvision.
"""

import gzip
import io
import lzma
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import torch

from hybridmpi.learning.datasets.data_set import DataSet
from hybridmpi.learning.datasets.files import damaged, download, missing, read_checked, reading
from hybridmpi.learning.names import require_root

FOLDER = "cifar-10-batches-py"
ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-python.tar.xz")
MD5S = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
_PER_BATCH = 10_000
_MOST_BYTES = 32_000_000  # of one batch; the longest has 31,035,999
_MOST_ARCHIVE_BYTES = 200_000_000  # unpacked; the official archive has 186 million


def cifar10(root: Path | None, download_missing: bool) -> DataSet:
    """Read CIFAR-10 from `root`: from the unpacked folder, or else from an archive.

    Args:
        root: torchvision's data root: holds `cifar-10-batches-py/`, `cifar-10-python.tar.gz` or
            `cifar-10-python.tar.xz`. An archive is read in memory and not unpacked to disk; the
            `.tar.xz` takes about ten times as long as the folder.
        download_missing: Fetch and unpack the archive where there is none of the three.

    Returns:
        50,000 training and 10,000 test images, uint8, [n, 3, 32, 32].

    Raises:
        UserError: If the files are missing or damaged.
    """
    root = require_root("cifar10", root)
    if download_missing and _find(root) is None:
        download("cifar10", "CIFAR10", root)
    source = _find(root)
    if source is None:
        raise missing("cifar10", root, f"{FOLDER}/ with all its batches or {' or '.join(ARCHIVES)}")
    return _assemble(source, _from_folder(source) if source.is_dir() else _from_archive(source))


def _find(root: Path) -> Path | None:
    folder = root / FOLDER
    if all((folder / name).is_file() for name in MD5S):
        return folder
    return next((root / name for name in ARCHIVES if (root / name).is_file()), None)


def _assemble(source: Path, batches: Iterator[tuple[str, bytes]]) -> DataSet:
    names = list(MD5S)
    inputs = np.empty((len(names) * _PER_BATCH, 3, 32, 32), np.uint8)
    labels = np.empty(len(inputs), np.int64)
    absent = set(names)
    for name, content in batches:
        start = names.index(name) * _PER_BATCH
        rows = slice(start, start + _PER_BATCH)
        batch = pickle.loads(content, encoding="bytes")  # safe: read_checked knows every byte of it
        inputs[rows] = batch[b"data"].reshape(-1, 3, 32, 32)
        labels[rows] = batch[b"labels"]
        absent.remove(name)
    if absent:
        raise damaged(str(source), f"it lacks {FOLDER}/" + ", ".join(sorted(absent)))
    train = slice(0, -_PER_BATCH)
    test = slice(-_PER_BATCH, None)
    return DataSet(
        "cifar10",
        torch.from_numpy(inputs[train]),
        torch.from_numpy(labels[train]),
        # Copies: who keeps the test set, as a server does, would keep the training set with it.
        torch.from_numpy(inputs[test].copy()),
        torch.from_numpy(labels[test].copy()),
        num_classes=10,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
    )


def _from_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for name in MD5S:
        with reading(folder / name), (folder / name).open("rb") as stream:
            content = _checked(stream, name, folder)
        yield name, content


def _from_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each batch once, in the archive's order, since seeking back would unpack it again."""
    opener = gzip.open if path.suffix == ".gz" else lzma.open
    absent = set(MD5S)
    try:
        with opener(path) as unpacked, tarfile.open(fileobj=_Bounded(unpacked), mode="r|") as tar:
            for member in tar:
                if member.size > _MOST_ARCHIVE_BYTES:  # tarfile would read that far beyond the end
                    raise tarfile.ReadError(f"{member.name!r} claims {member.size} bytes")
                name = member.name.removeprefix(f"{FOLDER}/")
                if name in absent and member.isfile() and (stream := tar.extractfile(member)):
                    absent.remove(name)
                    yield name, _checked(stream, name, path)
                if not absent:
                    return
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, tarfile.TarError) as error:
        raise damaged(str(path), f"it can't be unpacked ({error})") from error


class _Bounded(io.BufferedIOBase):
    """A stream that ends a bomb: tarfile holds headers of any length that an archive states."""

    def __init__(self, stream: gzip.GzipFile | lzma.LZMAFile) -> None:
        self._stream = stream
        self._bytes_left = _MOST_ARCHIVE_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        content = self._stream.read(size)
        self._bytes_left -= len(content)
        if self._bytes_left < 0:
            raise tarfile.ReadError(f"it holds more than {_MOST_ARCHIVE_BYTES} bytes")
        return content


def _checked(stream: IO[bytes], name: str, source: Path) -> bytes:
    return read_checked(stream, f"{source}: {name}", md5=MD5S[name], most_bytes=_MOST_BYTES)
