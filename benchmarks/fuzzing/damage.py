"""Damage to bytes: what disks, networks and enemies do to files."""

import struct
from collections.abc import Callable, Sequence
from random import Random

_NUMBERS = (0, 1, 7, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1)


def damaged(rng: Random, content: bytes, places: Sequence[int] = ()) -> bytes:
    """Return a copy with one to four things done to it.

    Args:
        rng: Chooses.
        content: At least one byte.
        places: Where it hurts most; anywhere if not given.
    """
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.choice(places) if places and rng.random() < 0.8 else rng.randrange(len(content))
        rng.choice(_WAYS)(rng, changed, at)
        if not changed:
            break
    return bytes(changed)


def _flip(rng: Random, content: bytearray, at: int) -> None:
    if at < len(content):
        content[at] ^= 1 << rng.randrange(8)


def _set(rng: Random, content: bytearray, at: int) -> None:
    content[at : at + 1] = bytes([rng.randrange(256)])


def _number(rng: Random, content: bytearray, at: int) -> None:
    form = rng.choice(("<I", ">I", "<Q", "<H"))
    size = struct.calcsize(form)
    content[at : at + size] = struct.pack(form, rng.choice(_NUMBERS) % 2 ** (8 * size))


def _cut_off(rng: Random, content: bytearray, at: int) -> None:
    del rng
    del content[at:]


def _cut_out(rng: Random, content: bytearray, at: int) -> None:
    del content[at : at + rng.randrange(1, 64)]


def _insert(rng: Random, content: bytearray, at: int) -> None:
    content[at:at] = rng.randbytes(rng.randrange(1, 64))


def _clear(rng: Random, content: bytearray, at: int) -> None:
    length = rng.choice((8, 512, 4096))
    content[at : at + length] = bytes(len(content[at : at + length]))


def _repeat(rng: Random, content: bytearray, at: int) -> None:
    content[at:at] = content[at : at + rng.randrange(1, 256)]


_WAYS: tuple[Callable[[Random, bytearray, int], None], ...] = (
    *(_flip, _flip, _set, _set, _number, _number),
    *(_cut_off, _cut_out, _insert, _clear, _repeat),
)
