"""Data archives: IDX files, and CIFAR-10's batches in a folder or an archive.

The known data sets are replaced by tiny ones with checksums of their own, so that thousands can be
read; all other bounds are the real ones.
"""

import gzip
import hashlib
import io
import lzma
import os
import pickle
import struct
import tarfile
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from fuzzing.case import Case
from fuzzing.damage import damaged
from hybridmpi.learning.datasets import cifar10, load_dataset, mnist
from hybridmpi.learning.datasets.mnist import IdxFile

_SAMPLES = 2  # of each batch of CIFAR-10
_BOMB_BYTES = 1 << 30
_SHAPES = ((4, 3, 3), (4,), (2, 3, 3), (2,))


class _Hostile:
    """Runs a command where it is unpickled."""

    def __init__(self, trace: str) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self._trace,)


class Archives:
    """Files below data.root."""

    most_mib = 450

    def __init__(self, folder: Path) -> None:
        self._trace = str(folder / "trace")
        rng = np.random.default_rng(0)
        self._batches = {}
        for name in cifar10.MD5S:
            data = rng.integers(0, 256, (_SAMPLES, 3072), np.uint8)
            self._batches[name] = pickle.dumps({b"data": data, b"labels": [1, 2]})
        cifar10.MD5S.update({name: _md5(held) for name, held in self._batches.items()})
        vars(cifar10)["_PER_BATCH"] = _SAMPLES
        variant = mnist._VARIANTS["mnist"]
        files: list[IdxFile] = []
        self._idx: dict[str, bytes] = {}
        for file, shape in zip(variant.files, _SHAPES, strict=True):
            tiny = replace(file, shape=shape)
            content = tiny.header + rng.integers(0, 9, int(np.prod(shape)), np.uint8).tobytes()
            packed = gzip.compress(content, mtime=0)
            self._idx[file.name] = content
            files.append(replace(tiny, md5=_md5(content), packed_md5=_md5(packed)))
        one, two, three, four = files
        mnist._VARIANTS["mnist"] = replace(variant, files=(one, two, three, four))
        # One without checksums of unpacked files, as Fashion-MNIST's.
        one, two, three, four = (replace(file, md5=None) for file in files)
        fashion = mnist._VARIANTS["fashion-mnist"]
        mnist._VARIANTS["fashion-mnist"] = replace(fashion, files=(one, two, three, four))

    def case(self, rng: Random, folder: Path) -> Case:
        if rng.random() < 0.4:
            return self._mnist(rng, folder)
        if rng.random() < 0.3:
            return self._cifar_folder(rng, folder)
        return self._cifar_archive(rng, folder)

    def _mnist(self, rng: Random, folder: Path) -> Case:
        name, below = rng.choice((("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")))
        raw = folder / below / "raw"
        raw.mkdir(parents=True)
        chosen, what = rng.choice(list(self._idx)), ""
        for file, content in self._idx.items():
            is_packed = rng.random() < 0.5
            packed = gzip.compress(content, mtime=0) if is_packed else content
            if file == chosen:
                what, packed = self._changed_idx(rng, content, packed)
            (raw / (file + ".gz" * is_packed)).write_bytes(packed)
        return Case(f"{name}, {chosen}: {what}", lambda: load_dataset(name, folder))

    def _changed_idx(self, rng: Random, content: bytes, packed: bytes) -> tuple[str, bytes]:
        match rng.randrange(5):
            case 0:
                sizes = [rng.choice((0, 1, 2**31 - 1, -1)) for _ in range(3)]
                return "dimensions", struct.pack(">4i", 0x0803, *sizes) + content
            case 1:
                return "bomb", _bomb_gz() if rng.random() < 0.1 else gzip.compress(bytes(10**6))
            case 2:
                return "pickle", pickle.dumps(_Hostile(self._trace))
            case 3:
                return "nothing", b""
        return "damage", damaged(rng, packed)

    def _cifar_folder(self, rng: Random, folder: Path) -> Case:
        (folder / cifar10.FOLDER).mkdir()
        batches, what = self._changed_batches(rng)
        for name, content in batches.items():
            (folder / cifar10.FOLDER / Path(name).name).write_bytes(content)
        return Case(f"folder: {what}", lambda: load_dataset("cifar10", folder))

    def _cifar_archive(self, rng: Random, folder: Path) -> Case:
        suffix = rng.choice((".gz", ".xz"))
        path = folder / f"cifar-10-python.tar{suffix}"
        batches, what = self._changed_batches(rng)
        form = rng.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT))
        content = _tar(rng, batches, form)
        if rng.random() < 0.3:
            what, content = f"{what}, damaged tar", damaged(rng, content, range(1024))
        if rng.random() < 0.02:
            what, packed = "bomb", _bomb_gz() if suffix == ".gz" else _bomb_xz()
        else:
            packed = _packed(content, suffix)
        if rng.random() < 0.3:
            what, packed = f"{what}, damaged archive", damaged(rng, packed)
        path.write_bytes(packed)
        outside = folder.parent / "outside"

        def read() -> None:
            try:
                load_dataset("cifar10", folder)
            finally:
                if outside.exists() or sorted(folder.iterdir()) != [path]:
                    raise AssertionError("it was unpacked to the disk")

        return Case(f"archive: {what}", read)

    def _changed_batches(self, rng: Random) -> tuple[dict[str, bytes], str]:
        batches = dict(self._batches)
        name = rng.choice(list(batches))
        match rng.randrange(7):
            case 0:
                batches[name] = pickle.dumps(_Hostile(self._trace))
                return batches, f"hostile pickle as {name}"
            case 1:
                batches[name] = damaged(rng, batches[name])
                return batches, f"damaged {name}"
            case 2:
                del batches[name]
                return batches, f"no {name}"
            case 3:
                batches[rng.choice(("../../outside", "batches.meta"))] = b"x" * 100
                return batches, "another member"
            case 4:
                batches[name] = bytes(40_000_000)
                return batches, f"long {name}"
        return batches, "whole"


def _tar(rng: Random, batches: dict[str, bytes], form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            member.size = len(content)
            if rng.random() < 0.05:
                member.type = rng.choice((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE))
                member.linkname, member.size = "../../../etc/passwd", 0
            if rng.random() < 0.03:
                member.name = rng.choice(("../../outside", "x" * 90, "é\n/../x", ""))
            if form == tarfile.PAX_FORMAT and rng.random() < 0.05:
                member.pax_headers = {rng.choice(("size", "path", "GNU.sparse.size")): "9" * 20}
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _packed(content: bytes, suffix: str) -> bytes:
    if suffix == ".gz":
        return gzip.compress(content, 1, mtime=0)
    return lzma.compress(content, preset=0)


@cache
def _bomb_gz() -> bytes:
    """Return a gzip file of a GiB of zeros."""
    packer = zlib.compressobj(9, wbits=31)
    piece = bytes(1 << 20)
    return b"".join(packer.compress(piece) for _ in range(_BOMB_BYTES >> 20)) + packer.flush()


@cache
def _bomb_xz() -> bytes:
    packer = lzma.LZMACompressor(preset=0)
    piece = bytes(1 << 20)
    return b"".join(packer.compress(piece) for _ in range(_BOMB_BYTES >> 20)) + packer.flush()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
