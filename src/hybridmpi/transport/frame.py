"""A frame: a header of 64 bytes and behind it a flat vector, in one piece of memory.

One message carries both, so a push is one message and so is a release; a message may also be the
header alone.
"""

import struct
from enum import IntEnum

import torch
from torch import Tensor

from hybridmpi.core.messages import Push

HEADER_BYTES = 64
_HEADER_FLOATS = HEADER_BYTES // 4
_PUSH = struct.Struct("<qqqqddd")  # version, batch, samples, is_finite, loss, compute_s, wait_s
_RELEASE = struct.Struct("<qqq")  # version, action, form


class Action(IntEnum):
    """What a worker is told."""

    COMPUTE = 0
    STOP = 1


class Form(IntEnum):
    """How the parameters of a release come."""

    MESSAGE = 0  # behind this header
    COLLECTIVE = 1  # by a broadcast over all ranks, behind this header or another one


class Frame:
    """A header and a float32 vector.

    Attributes:
        vector: Shape [size], behind the header and aligned to 64 bytes as it is.
        whole: Both as bytes.
        header: The header alone as bytes.
    """

    def __init__(self, storage: Tensor) -> None:
        self.vector = storage[_HEADER_FLOATS:]
        self.whole = storage.numpy().data.cast("B")
        self.header = self.whole[:HEADER_BYTES]

    def write_push(self, push: Push) -> None:
        """Write a push's header; its worker is known from the message's source."""
        _PUSH.pack_into(
            self.header,
            0,
            push.version,
            push.batch,
            push.samples,
            push.is_finite,
            push.loss,
            push.compute_s,
            push.wait_s,
        )

    def read_push(self, worker: int, row: int) -> Push:
        """Return the push of `worker` that arrived in this frame, row `row` of the buffer."""
        version, batch, samples, is_finite, loss, compute_s, wait_s = _PUSH.unpack_from(self.header)
        return Push(worker, batch, version, row, loss, samples, compute_s, wait_s, bool(is_finite))

    def write_release(self, version: int, action: Action, form: Form) -> None:
        """Write a release's header."""
        _RELEASE.pack_into(self.header, 0, version, action, form)

    def read_release(self) -> tuple[int, int, int]:
        """Return a release's version, action and form."""
        version, action, form = _RELEASE.unpack_from(self.header)
        return version, action, form


def frames(count: int, size: int) -> list[Frame]:
    """Allocate `count` frames for vectors of `size` elements in one piece, zeroed lazily."""
    stride = -(-(_HEADER_FLOATS + size) // _HEADER_FLOATS) * _HEADER_FLOATS
    storage = torch.zeros(count, stride)
    return [Frame(row[: _HEADER_FLOATS + size]) for row in storage]
