"""Where the metadata of an HDF5 file lie, and how to change them unnoticed.

Every block of metadata that a run file has ends with a checksum, so that nearly all damage is
noticed by HDF5 itself; an enemy computes the checksum anew, and then HDF5 believes the block.
Sources: HDF5 file format specification, version 3; Jenkins, lookup3.c, 2006.
"""

import struct
from collections.abc import Sequence

_SIGNATURES = (
    *(b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"FHIB", b"BTHD", b"BTIN", b"BTLF", b"EAHD", b"EAIB"),
    *(b"EASB", b"EADB", b"FAHD", b"FADB", b"FSHD", b"FSSE", b"SMTB", b"SMLI"),
)
_MASK = 0xFFFFFFFF
_LONGEST = 2048  # bytes of a block that is looked for; longer ones are left alone


def blocks(content: bytes) -> list[tuple[int, int]]:
    """Return the begin and end of each block with a checksum; the checksum is its last 4 bytes."""
    found = [(0, 48)]  # the superblock
    for signature in _SIGNATURES:
        at = content.find(signature)
        while at >= 0:
            end = _end(content, at)
            if end:
                found.append((at, end))
            at = content.find(signature, at + 1)
    return sorted(found)


def sealed(content: bytes, block: Sequence[int]) -> bytes:
    """Return the content with the right checksum at the end of a block."""
    begin, end = block
    checksum = struct.pack("<I", lookup3(content[begin : end - 4]))
    return content[: end - 4] + checksum + content[end:]


def _end(content: bytes, begin: int) -> int:
    """Return the end of a block, 0 if none is found: where its own checksum stands."""
    for end in range(begin + 12, min(begin + _LONGEST, len(content))):
        stored = int.from_bytes(content[end - 4 : end], "little")
        if stored and stored == lookup3(content[begin : end - 4]):
            return end
    return 0


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
