"""Sizes that the metadata of an HDF5 file claim, checked before HDF5 believes them.

HDF5 takes as much memory for a node of a B-tree, or a block of a heap, as its header says, up to
some gigabytes for a file of a few kilobytes. Sources: HDF5 file format specification, version 3,
sections III.A.2 and III.G; Jenkins, lookup3.c, 2006.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

_MASK = 0xFFFFFFFF
_LARGEST = 2**20  # bytes of a block: HDF5 makes them of 64 KiB at most where a run file has any
_PIECE_BYTES = 2**22
_LONGEST_HEADER = 2**17  # with as many filters as can be told
_LONGEST_SCAN = 2**30  # bytes; a file beyond may take memory in proportion to its own length
# By signature: the header's length with its checksum, and the sizes that it claims: how each is
# written, and the least that it may be. HDF5 divides by some.
_HEADERS = {
    # version 2 B-tree: of a node, of a record
    b"BTHD": (38, (("<I", 6, 64), ("<H", 10, 1))),
    # fractal heap: of an object, columns, of the first block, of the largest one
    b"FRHP": (146, (("<I", 10, 1), ("<H", 110, 1), ("<Q", 112, 1), ("<Q", 120, 1))),
}


def check_sizes(path: Path) -> None:
    """Check the sizes of blocks in a file's metadata, also while the file is being written.

    Raises:
        ValueError: If one is larger or smaller than any that a run file has.
        OSError: If the file cannot be read.
    """
    if path.stat().st_size > _LONGEST_SCAN:
        return
    with path.open("rb") as file:  # not mapped: its writer may cut it meanwhile
        for piece in _pieces(file):
            for signature, (length, fields) in _HEADERS.items():
                for at in _places(piece, signature):
                    _check(piece[at : at + length + _filters(piece, at)], length, fields)


def _check(header: bytes, length: int, fields: Sequence[tuple[str, int, int]]) -> None:
    if len(header) < length:
        return
    for form, place, least in fields:
        (size,) = struct.unpack_from(form, header, place)
        if least <= size <= _LARGEST:
            continue
        # Rows may hold such bytes by chance, but not with the right checksum.
        if header[-4:] == struct.pack("<I", lookup3(header[:-4])):
            raise ValueError(f"a block of its metadata claims a size of {size}")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's content piece by piece; each begins with the end of the one before."""
    piece = b""
    while more := file.read(_PIECE_BYTES):
        piece = piece[-_LONGEST_HEADER:] + more
        yield piece


def _filters(piece: bytes, at: int) -> int:
    """Return how much longer a heap's header is for filters."""
    length = int.from_bytes(piece[at + 7 : at + 9], "little") if piece[at] == ord("F") else 0
    return 12 + length if length else 0


def _places(piece: bytes, signature: bytes) -> Iterator[int]:
    at = piece.find(signature)
    while at >= 0:
        yield at
        at = piece.find(signature, at + 1)


def lookup3(key: bytes) -> int:
    """Return Jenkins' hash of 32 bits, which is HDF5's checksum of metadata."""
    a: int
    b: int
    c: int
    a = b = c = (0xDEADBEEF + len(key)) & _MASK
    while len(key) > 12:
        x, y, z = struct.unpack_from("<3I", key)
        a, b, c = (a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK
        a = ((a - c) ^ _rotated(c, 4)) & _MASK
        c = (c + b) & _MASK
        b = ((b - a) ^ _rotated(a, 6)) & _MASK
        a = (a + c) & _MASK
        c = ((c - b) ^ _rotated(b, 8)) & _MASK
        b = (b + a) & _MASK
        a = ((a - c) ^ _rotated(c, 16)) & _MASK
        c = (c + b) & _MASK
        b = ((b - a) ^ _rotated(a, 19)) & _MASK
        a = (a + c) & _MASK
        c = ((c - b) ^ _rotated(b, 4)) & _MASK
        b = (b + a) & _MASK
        key = key[12:]
    if not key:
        return c
    x, y, z = struct.unpack("<3I", key.ljust(12, b"\0"))
    a, b, c = (a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK
    c = ((c ^ b) - _rotated(b, 14)) & _MASK
    a = ((a ^ c) - _rotated(c, 11)) & _MASK
    b = ((b ^ a) - _rotated(a, 25)) & _MASK
    c = ((c ^ b) - _rotated(b, 16)) & _MASK
    a = ((a ^ c) - _rotated(c, 4)) & _MASK
    b = ((b ^ a) - _rotated(a, 14)) & _MASK
    return ((c ^ b) - _rotated(b, 24)) & _MASK


def _rotated(value: int, places: int) -> int:
    return ((value << places) | (value >> (32 - places))) & _MASK
