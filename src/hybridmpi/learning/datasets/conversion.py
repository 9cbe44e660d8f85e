"""What users give to a data set, made into the tensors and numbers that it holds.

Each function raises ValueError with what was given, what is allowed and how to mend it.
"""

import operator
from typing import Any

import torch
from torch import Tensor

from hybridmpi.learning.arrays import as_tensor

_TAKEN_AS_FLOAT32 = (torch.float64, torch.float16, torch.bfloat16, torch.bool)


def as_inputs(given: Any) -> Tensor:
    """Return inputs as a contiguous tensor on the processor, uint8 or float32, of four dimensions.

    Args:
        given: A tensor or what numpy makes an array of: uint8, or floating-point numbers of any
            size, or truth values, which become 0 and 1.
    """
    tensor = as_tensor(given)
    if tensor.dtype in _TAKEN_AS_FLOAT32:
        tensor = tensor.to(torch.float32)
    if tensor.dtype not in (torch.uint8, torch.float32):
        raise ValueError(
            f"is {tensor.dtype}, but must be torch.uint8 or torch.float32; take "
            ".to(torch.uint8) of images in 0..255, which are divided by 255, and .float() of other "
            "numbers"
        )
    if tensor.dim() != 4 or tensor.numel() == 0:
        raise ValueError(
            f"has shape {list(tensor.shape)}, but must have shape [samples, channels, height, "
            f"width], each at least 1{_reshaping(tensor)}"
        )
    # The extremes show an inf or a nan without a second array as large as the inputs.
    if tensor.is_floating_point() and not torch.stack(tensor.aminmax()).isfinite().all():
        raise ValueError("holds inf or nan, but must be finite")
    return tensor.contiguous()


def as_labels(given: Any, num_samples: int, num_classes: int) -> Tensor:
    """Return labels as a contiguous tensor on the processor, int64, of one dimension.

    Args:
        given: A tensor or what numpy makes an array of: whole numbers of any type.
        num_samples: How many there must be.
        num_classes: Each lies in 0..num_classes - 1.
    """
    tensor = as_tensor(given)
    if tensor.shape != (num_samples,):
        raise ValueError(
            f"is {tensor.dtype} of shape {list(tensor.shape)}, but must be torch.int64 of shape "
            f"[{num_samples}], one for each of the inputs{_one_number_each(tensor, num_samples)}"
        )
    if tensor.is_complex() or (tensor.is_floating_point() and not _is_whole(tensor)):
        raise ValueError(
            f"is {tensor.dtype} and holds other than whole numbers, but must hold classes; number "
            "them from 0"
        )
    labels = tensor.to(torch.int64)
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most >= num_classes:
        raise ValueError(
            f"holds {least} to {most}, but must lie in 0..{num_classes - 1}; number the classes "
            "from 0, or mend num_classes"
        )
    return labels.contiguous()


def as_count(given: Any) -> int:
    """Return a whole number of at least 1."""
    try:
        count = operator.index(given)
    except TypeError:
        raise ValueError(f"is {given!r}, but must be a whole number, at least 1") from None
    if count < 1:
        raise ValueError(f"is {count}, but must be at least 1")
    return count


def as_numbers(given: Any, channels: int) -> tuple[float, ...]:
    """Return one number per channel.

    Args:
        given: One number for each channel as a list, tuple, array or tensor of any shape, or a
            single number for all of them.
        channels: How many there must be.
    """
    try:
        numbers = as_tensor(given).to(torch.float64)
    except (ValueError, TypeError, RuntimeError):
        numbers = torch.empty(0)
    if numbers.dim() == 0:
        numbers = numbers.expand(channels)
    if numbers.numel() != channels or isinstance(given, str):
        raise ValueError(
            f"is {given!r}, but must hold one number for each of the {channels} channels, or "
            "be one number for all"
        )
    found = tuple(numbers.flatten().tolist())
    if not numbers.isfinite().all():
        raise ValueError(f"is {found}, but must be finite")
    return found


def _is_whole(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all()) and torch.equal(tensor, tensor.round())


def _reshaping(tensor: Tensor) -> str:
    """Say how inputs of fewer dimensions get four."""
    if not tensor.numel():
        return ""
    advice = {
        1: "[:, None, None, None] makes one feature per sample so",
        2: "[:, None, None, :] makes rows of features so",
        3: "[:, None] makes images without channels so",
    }
    return f"; {advice[tensor.dim()]}" if tensor.dim() in advice else ""


def _one_number_each(tensor: Tensor, num_samples: int) -> str:
    """Say how labels of two dimensions get one."""
    if tensor.dim() != 2 or len(tensor) != num_samples:
        return ""
    return "; take [:, 0]" if tensor.shape[1] == 1 else "; of one-hot rows take .argmax(1)"
