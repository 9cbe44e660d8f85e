"""Arrays of any kind that users give, as tensors."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_tensor(given: Any) -> Tensor:
    """Return a dense tensor on the processor.

    Args:
        given: A tensor, or what numpy makes an array of numbers of.

    Raises:
        ValueError: If it is something else; the message goes on after the name of what was given.
    """
    tensor = given if isinstance(given, Tensor) else _from_array(given)
    if tensor.is_meta or tensor.is_quantized or tensor.layout != torch.strided:
        kind = "quantized" if tensor.is_quantized else f"{tensor.layout} on {tensor.device}"
        raise ValueError(f"is {kind}, but must be a dense tensor with values, on any device")
    tensor = tensor.detach().as_subclass(Tensor).cpu()
    # A tensor that was made in inference mode can't be worked on elsewhere.
    return tensor.clone() if tensor.is_inference() else tensor


def _from_array(given: Any) -> Tensor:
    kind = type(given).__name__
    try:
        array = np.asarray(given)
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        # A copy where torch can't share the memory, or would warn that it must not be written.
        if not array.flags.writeable or any(stride < 0 for stride in array.strides):
            array = array.copy()
        return torch.from_numpy(array)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"is {kind}, but must be a torch tensor or a numpy array of numbers ({error})"
        ) from error
