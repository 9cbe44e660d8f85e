"""MNIST and Fashion-MNIST, read from IDX files in torchvision's layout.

Sources: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition",
Proc. IEEE, 1998; Xiao, Rasul, Vollgraf, "Fashion-MNIST", arXiv 1708.07747. The checksums of packed
files are those of torchvision; those of MNIST's unpacked files were taken from the packed ones.
"""

import gzip
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hybridmpi.learning.datasets.data_set import DataSet
from hybridmpi.learning.datasets.files import damaged, download, missing, read_checked, reading
from hybridmpi.learning.names import require_root


@dataclass(frozen=True)
class IdxFile:
    """One IDX file of unsigned bytes and what is known of it."""

    name: str
    shape: tuple[int, ...]
    packed_md5: str
    md5: str | None  # of the unpacked file; None where nobody has stated one

    @property
    def header(self) -> bytes:
        """The magic number (unsigned bytes, number of dimensions), then each dimension."""
        return struct.pack(f">{len(self.shape) + 1}i", 0x0800 + len(self.shape), *self.shape)

    @property
    def num_bytes(self) -> int:
        """The length of the unpacked file."""
        return len(self.header) + math.prod(self.shape)


@dataclass(frozen=True)
class _Variant:
    name: str
    torchvision_class: str
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]
    mean: float
    std: float


def _files(*checksums: tuple[str, str | None]) -> tuple[IdxFile, IdxFile, IdxFile, IdxFile]:
    train_images, train_labels, test_images, test_labels = checksums
    return (
        IdxFile("train-images-idx3-ubyte", (60_000, 28, 28), *train_images),
        IdxFile("train-labels-idx1-ubyte", (60_000,), *train_labels),
        IdxFile("t10k-images-idx3-ubyte", (10_000, 28, 28), *test_images),
        IdxFile("t10k-labels-idx1-ubyte", (10_000,), *test_labels),
    )


_VARIANTS = {
    variant.name: variant
    for variant in (
        _Variant(
            "mnist",
            "MNIST",
            _files(
                ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
                ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
                ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
                ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
            ),
            mean=0.1307,
            std=0.3081,
        ),
        _Variant(
            "fashion-mnist",
            "FashionMNIST",
            _files(
                ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", None),
                ("25c81989df183df01b3e8a0aad5dffbe", None),
                ("bef4ecab320f06d8554ea6380940ec79", None),
                ("bb300cfdad3c16e7a12a480ee83cd310", None),
            ),
            mean=0.2860,
            std=0.3530,
        ),
    )
}


def mnist(name: str, root: Path | None, download_missing: bool) -> DataSet:
    """Read "mnist" or "fashion-mnist" from `root`/MNIST/raw or `root`/FashionMNIST/raw.

    Args:
        name: Which of the two.
        root: torchvision's data root. The files lie in it unpacked or as `.gz`.
        download_missing: Fetch the files where one is missing.

    Returns:
        60,000 training and 10,000 test images, uint8, [n, 1, 28, 28].

    Raises:
        UserError: If a file is missing or damaged.
    """
    root = require_root(name, root)
    variant = _VARIANTS[name]
    folder = root / variant.torchvision_class / "raw"
    if download_missing and not all(_find(folder, file) for file in variant.files):
        download(name, variant.torchvision_class, root)
    train_images, train_labels, test_images, test_labels = (
        _read(name, root, folder, file) for file in variant.files
    )
    return DataSet(
        name,
        train_images.unsqueeze(1),
        train_labels.long(),
        test_images.unsqueeze(1),
        test_labels.long(),
        num_classes=10,
        mean=(variant.mean,),
        std=(variant.std,),
    )


def _find(folder: Path, file: IdxFile) -> Path | None:
    candidates = (folder / file.name, folder / f"{file.name}.gz")
    return next((path for path in candidates if path.is_file()), None)


def _read(name: str, root: Path, folder: Path, file: IdxFile) -> Tensor:
    path = _find(folder, file)
    if path is None:
        raise missing(name, root, f"{(folder / file.name).relative_to(root)} (or .gz)")
    return read_idx(path, file)


def read_idx(path: Path, file: IdxFile) -> Tensor:
    """Read an IDX file, packed if its name ends in `.gz`, as uint8 of the shape that is known.

    Raises:
        UserError: If the file is damaged.
    """
    is_packed = path.suffix == ".gz"
    md5 = file.packed_md5 if is_packed else file.md5
    with reading(path), path.open("rb") as stream:
        content = read_checked(stream, str(path), md5=md5, most_bytes=file.num_bytes)
    if is_packed:
        content = gzip.decompress(content)
    if len(content) != file.num_bytes or not content.startswith(file.header):
        raise damaged(
            str(path), f"it is not an IDX file of {file.num_bytes} bytes and shape {file.shape}"
        )
    pixels = np.frombuffer(content, np.uint8, offset=len(file.header))
    return torch.from_numpy(pixels.reshape(file.shape).copy())
