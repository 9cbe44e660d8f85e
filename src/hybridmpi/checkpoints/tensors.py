"""Tensors in a safetensors file: written with what is to be read again, and nothing executed."""

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hybridmpi.runlog.replacing import replacing

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a file whole or not at all, and have it on the disk before this returns.

    The format is safetensors', but not its writer: that one copies all tensors, keeps Python's lock
    while it does, which holds the server up, and hides the system's errors.

    Raises:
        UserError: If it cannot be written there.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as beside, beside.open("wb", buffering=0) as file:
        _write(file.fileno(), struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            _write(file.fileno(), _bytes(tensor))
        os.fsync(file.fileno())
    _to_disk(path.parent)


def hash_of(tensors: Mapping[str, Tensor], *texts: str) -> str:
    """Return a hash of tensors and texts: safetensors has no checksum."""
    digest = hashlib.sha256(json.dumps(texts).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _write(descriptor: int, content: bytes | memoryview) -> None:
    left = memoryview(content)
    while left:  # one call writes 2 GiB at most
        left = left[os.write(descriptor, left) :]


def _to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
