"""A frame: a header of 64 bytes and behind it a flat vector, in one piece of memory.

One message carries both, so a push is one message and so is a release; a message may also be the
header alone.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from hybridmpi.core.messages import Push

HEADER_BYTES = 64
_HEADER_FLOATS = HEADER_BYTES // 4
_PUSH = struct.Struct("<qqqqdddq")  # as `write_push` has them
_RELEASE = struct.Struct("<qqqqqq")  # the fields of ReleaseHeader
_EMPTY = b"\xff" * 8  # version -1


class Tag(IntEnum):
    """What a message carries."""

    PUSH = 1  # a frame, or a header alone that takes back a batch
    RELEASE = 2  # a frame, or a header alone
    FAILURE = 3  # a traceback
    PUSH_HEADER = 4  # of a gradient in shared memory
    PARAMETERS = 5  # a vector alone
    INTERRUPTION = 6  # the name of a signal that asked for the end
    LOSS = 7  # of a worker, among whose fellows its shard is shared out
    RESCUE = 8  # a frame for a worker that may wait for a lost one to pass it on


class Action(IntEnum):
    """What a worker is told."""

    COMPUTE = 0
    STOP = 1
    CANCEL = 2  # abandon the batch at hand, and say so: a release follows


class Form(IntEnum):
    """How the parameters of a release come."""

    MESSAGE = 0  # behind this header
    COLLECTIVE = 1  # by a broadcast over all ranks, behind this header or another one
    SHARED = 2  # in a slot of the node's shared memory, or on their way into it
    CARRIED = 3  # in a message of their own, which the receiver is to put into that slot


class ReleaseHeader(NamedTuple):
    """What a release says.

    Attributes:
        version: Of the parameters.
        action: What the worker is to do.
        form: How the parameters come.
        slot: Theirs in the node's shared memory.
        row: Where the worker's next gradient goes there.
        losses: How many losses the worker has been told of before this header.
    """

    version: int
    action: int
    form: int
    slot: int = 0
    row: int = 0
    losses: int = 0

    def as_bytes(self) -> bytes:
        """Return a header's bytes, for a message that is a header alone."""
        return _RELEASE.pack(*self).ljust(HEADER_BYTES, b"\0")


class Frame:
    """A header and a float32 vector.

    Attributes:
        vector: Shape [size], behind the header and aligned to 64 bytes as it is.
        whole: Both as bytes.
        header: The header alone as bytes.
        body: The vector alone as bytes.
    """

    def __init__(self, storage: Tensor) -> None:
        self.vector = storage[_HEADER_FLOATS:]
        self.whole = storage.numpy().data.cast("B")
        self.header = self.whole[:HEADER_BYTES]
        self.body = self.whole[HEADER_BYTES:]

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
            push.assignment,
        )

    def read_push(self, worker: int, row: int) -> Push:
        """Return the push of `worker` that arrived in this frame, row `row` of the buffer."""
        version, batch, samples, is_finite, loss, compute_s, wait_s, assignment = _PUSH.unpack_from(
            self.header
        )
        return Push(
            worker,
            batch,
            version,
            row,
            loss,
            samples,
            compute_s,
            wait_s,
            bool(is_finite),
            assignment,
        )

    def empty(self) -> None:
        """Mark the header as one that says nothing."""
        self.header[: len(_EMPTY)] = _EMPTY

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been written since it was marked as empty."""
        return self.header[: len(_EMPTY)] == _EMPTY

    def write_release(self, version: int, action: Action, form: Form, losses: int = 0) -> None:
        """Write a release's header."""
        _RELEASE.pack_into(self.header, 0, *ReleaseHeader(version, action, form, losses=losses))

    def read_release(self) -> ReleaseHeader:
        """Return a release's header."""
        return ReleaseHeader._make(_RELEASE.unpack_from(self.header))


def frames(count: int, size: int) -> list[Frame]:
    """Allocate `count` frames for vectors of `size` elements in one piece, zeroed lazily."""
    storage = torch.zeros(count, stride_of(size))
    return [Frame(row[: _HEADER_FLOATS + size]) for row in storage]


def stride_of(size: int) -> int:
    """Return how many float32 a frame for `size` elements takes where frames are aligned."""
    return -(-(_HEADER_FLOATS + size) // _HEADER_FLOATS) * _HEADER_FLOATS
