import gzip
import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from hybridmpi.errors import UserError
from hybridmpi.learning.datasets import cifar10 as module
from hybridmpi.learning.datasets import load_dataset

NAMES = list(module.MD5S)
TRAIN_LABELS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
TEST_LABELS = [9, 8]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Six batches of two samples; every byte of a sample is its number."""
    made = {}
    for i, name in enumerate(NAMES):
        data = np.repeat(np.array([[2 * i], [2 * i + 1]], np.uint8), 3072, axis=1)
        labels = (TRAIN_LABELS + TEST_LABELS)[2 * i : 2 * i + 2]
        made[name] = pickle.dumps({b"data": data, b"labels": labels})
    monkeypatch.setattr(module, "MD5S", {name: md5(content) for name, content in made.items()})
    monkeypatch.setattr(module, "_PER_BATCH", 2)
    return made


def write_folder(root: Path, batches: dict[str, bytes]) -> None:
    (root / module.FOLDER).mkdir()
    for name, content in batches.items():
        (root / module.FOLDER / name).write_bytes(content)


def write_archive(path: Path, batches: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w:xz") as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"{module.FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def check(root: Path) -> None:
    data_set = load_dataset("cifar10", root)
    assert data_set.train_inputs.shape == (10, 3, 32, 32)
    assert data_set.train_inputs[:, 2, 31, 31].tolist() == list(range(10))
    assert data_set.test_inputs[:, 0, 0, 0].tolist() == [10, 11]
    assert data_set.train_labels.tolist() == TRAIN_LABELS
    assert data_set.test_labels.tolist() == TEST_LABELS


def test_folder_is_read(tmp_path: Path, batches: dict[str, bytes]) -> None:
    write_folder(tmp_path, batches)
    check(tmp_path)


@pytest.mark.parametrize("name", module.ARCHIVES)
def test_archive_is_read_in_its_order_and_not_unpacked(
    tmp_path: Path, batches: dict[str, bytes], name: str
) -> None:
    others = {"batches.meta": b"never unpickled"}
    write_archive(tmp_path / name, others | dict(reversed(batches.items())))
    check(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_incomplete_folder_gives_way_to_the_archive(
    tmp_path: Path, batches: dict[str, bytes]
) -> None:
    write_folder(tmp_path, {"data_batch_1": b"left by a broken download"})
    write_archive(tmp_path / module.ARCHIVES[0], batches)
    check(tmp_path)


def test_nothing_found_names_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"cifar-10-batches-py/ .*tar\.xz in data.root={tmp_path}"):
        load_dataset("cifar10", tmp_path)


class Intruder:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("is_packed", [False, True])
def test_changed_batch_is_refused_and_not_unpickled(
    tmp_path: Path, batches: dict[str, bytes], is_packed: bool
) -> None:
    changed = pickle.dumps(Intruder(tmp_path / "trace"))
    all_batches = batches | {"data_batch_1": changed}
    if is_packed:
        write_archive(tmp_path / module.ARCHIVES[0], all_batches)
    else:
        write_folder(tmp_path, all_batches)
    expected = f"data_batch_1 .*{md5(changed)}, but must be {md5(batches['data_batch_1'])}"
    with pytest.raises(UserError, match=expected):
        load_dataset("cifar10", tmp_path)
    assert not (tmp_path / "trace").exists()
    pickle.loads(changed)  # the intruder would have been noticed
    assert (tmp_path / "trace").exists()


def test_archive_without_a_batch_is_refused(tmp_path: Path, batches: dict[str, bytes]) -> None:
    del batches["data_batch_3"]
    write_archive(tmp_path / module.ARCHIVES[0], batches)
    with pytest.raises(UserError, match="it lacks cifar-10-batches-py/data_batch_3"):
        load_dataset("cifar10", tmp_path)


@pytest.mark.parametrize("name", module.ARCHIVES)
def test_truncated_archive_is_refused(tmp_path: Path, batches: dict[str, bytes], name: str) -> None:
    path = tmp_path / name
    write_archive(path, batches)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="is damaged: it can't be unpacked"):
        load_dataset("cifar10", tmp_path)


def test_long_member_is_not_held(
    tmp_path: Path, batches: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1_000)
    write_archive(tmp_path / module.ARCHIVES[0], batches)
    with pytest.raises(UserError, match="data_batch_1 is damaged: it is longer than 1000 bytes"):
        load_dataset("cifar10", tmp_path)


def test_long_header_is_not_held(
    tmp_path: Path, batches: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_ARCHIVE_BYTES", 100_000)
    path = tmp_path / module.ARCHIVES[0]
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("x" * 1_000_000))
    assert path.stat().st_size < 10_000
    with pytest.raises(UserError, match="it holds more than 100000 bytes"):
        load_dataset("cifar10", tmp_path)
    assert batches


def test_real_cifar10_is_read() -> None:
    root = Path(os.environ.get("HYBRIDMPI_DATA", "."))
    if module._find(root) is None:
        pytest.skip("HYBRIDMPI_DATA names no folder that holds CIFAR-10")
    data_set = load_dataset("cifar10", root)
    assert data_set.train_inputs.shape == (50_000, 3, 32, 32)
    assert data_set.train_labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert data_set.test_labels[:5].tolist() == [3, 8, 8, 0, 6]
    assert data_set.train_labels.bincount().tolist() == [5_000] * 10
    channels = data_set.train_inputs.transpose(0, 1).reshape(3, -1).float() / 255
    assert data_set.mean == pytest.approx(channels.mean(dim=1).tolist(), abs=1e-4)
    assert data_set.std == pytest.approx(channels.std(dim=1).tolist(), abs=1e-4)


def test_archive_that_claims_a_member_without_end_is_refused_at_once(tmp_path: Path) -> None:
    member = tarfile.TarInfo("other")
    member.size = 2**62
    path = tmp_path / module.ARCHIVES[0]
    path.write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT)))
    with pytest.raises(UserError, match=f"claims {2**62} bytes"):
        module.cifar10(tmp_path, download_missing=False)
