import gzip
import hashlib
import os
import sys
from pathlib import Path
from types import ModuleType
from urllib.error import URLError

import pytest
import torch

from hybridmpi.errors import UserError
from hybridmpi.learning.datasets import load_dataset
from hybridmpi.learning.datasets import mnist as module
from hybridmpi.learning.datasets.mnist import IdxFile, read_idx

# Two 5x20 images: magic 0x00000803, dimensions 2, 5, 20, then the pixels.
PIXELS = [0] * 99 + [3] + [7] * 100
CONTENT = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 20, *PIXELS])
PACKED = gzip.compress(CONTENT, mtime=0)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


FILE = IdxFile("images", (2, 5, 20), packed_md5=md5(PACKED), md5=md5(CONTENT))


@pytest.mark.parametrize(
    ("name", "content"), [("images", CONTENT), ("images.gz", PACKED)], ids=["unpacked", "packed"]
)
def test_packed_and_unpacked_files_read_alike(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    images = read_idx(path, FILE)
    assert images.shape == (2, 5, 20)
    assert images.flatten().tolist() == PIXELS


@pytest.mark.parametrize(
    ("name", "content"), [("images", CONTENT), ("images.gz", PACKED)], ids=["unpacked", "packed"]
)
def test_damaged_file_is_refused_with_both_checksums(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    changed = content[:-1] + b"x"
    path.write_bytes(changed)
    with pytest.raises(UserError, match=f"md5 is {md5(changed)}, but must be {md5(content)}"):
        read_idx(path, FILE)


@pytest.mark.parametrize(
    "content", [CONTENT[:-1], b"\0\0\x08\x01" + CONTENT[4:]], ids=["short", "magic"]
)
def test_structure_is_checked_where_no_checksum_is_known(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"not an IDX file of 216 bytes and shape \(2, 5, 20\)"):
        read_idx(path, IdxFile("images", (2, 5, 20), packed_md5="", md5=None))


def test_no_more_is_read_than_an_intact_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "images"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(UserError, match="longer than 216 bytes"):
        read_idx(path, FILE)


def test_missing_root_names_the_settings() -> None:
    with pytest.raises(UserError, match=r"data\.root is not set.*data\.download=true"):
        load_dataset("mnist", None)


def test_missing_file_is_named_with_its_place(tmp_path: Path) -> None:
    expected = f"found no FashionMNIST/raw/train-images-idx3-ubyte .* in data.root={tmp_path}"
    with pytest.raises(UserError, match=expected):
        load_dataset("fashion-mnist", tmp_path)


def write_unpacked_fashion_mnist(root: Path) -> None:
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for file in module._VARIANTS["fashion-mnist"].files:
        with (folder / file.name).open("wb") as stream:
            stream.write(file.header)
            stream.truncate(file.num_bytes)


def fake_torchvision(monkeypatch: pytest.MonkeyPatch, name: str, download: object) -> None:
    torchvision, datasets = ModuleType("torchvision"), ModuleType("torchvision.datasets")
    monkeypatch.setattr(torchvision, "datasets", datasets, raising=False)
    monkeypatch.setattr(datasets, name, download, raising=False)
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)


def test_missing_files_are_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads = []

    def download(root: Path, *, download: bool) -> None:
        downloads.append((root, download))
        write_unpacked_fashion_mnist(root)

    fake_torchvision(monkeypatch, "FashionMNIST", download)
    for _ in range(2):
        data_set = load_dataset("fashion-mnist", tmp_path, download=True)
    assert downloads == [(tmp_path, True)]
    assert data_set.train_inputs.shape == (60_000, 1, 28, 28)
    assert data_set.test_inputs.shape == (10_000, 1, 28, 28)


def test_failed_download_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(root: Path, *, download: bool) -> None:  # noqa: ARG001
        raise URLError("no route")

    fake_torchvision(monkeypatch, "MNIST", download)
    with pytest.raises(
        UserError, match=r"could not be downloaded .*no route.*check the connection"
    ):
        load_dataset("mnist", tmp_path, download=True)


@pytest.fixture
def real_root() -> Path:
    root = Path(os.environ.get("HYBRIDMPI_DATA", "."))
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip("HYBRIDMPI_DATA names no folder that holds MNIST/raw")
    return root


def test_real_mnist_is_read(real_root: Path) -> None:
    data_set = load_dataset("mnist", real_root)
    assert data_set.train_inputs.shape == (60_000, 1, 28, 28)
    assert data_set.train_inputs.dtype == torch.uint8
    assert data_set.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data_set.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert data_set.train_labels.bincount()[0] == 5923
    inputs = data_set.train_inputs.double() / 255
    assert data_set.mean == (round(float(inputs.mean()), 4),)
    assert data_set.std == (round(float(inputs.std()), 4),)


def test_checksums_of_unpacked_real_mnist_match(real_root: Path, tmp_path: Path) -> None:
    for file in module._VARIANTS["mnist"].files:
        packed = real_root / "MNIST" / "raw" / f"{file.name}.gz"
        if not packed.is_file():
            pytest.skip("MNIST lies unpacked in HYBRIDMPI_DATA")
        path = tmp_path / file.name
        path.write_bytes(gzip.decompress(packed.read_bytes()))
        assert read_idx(path, file).shape == file.shape
