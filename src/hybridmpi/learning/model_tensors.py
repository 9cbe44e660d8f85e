"""What is asked of the parameters and buffers of a model, before it is trained."""

from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from hybridmpi.errors import UserError
from hybridmpi.learning.flat import persistent_buffers

_LARGEST_EXACT = 1 << 24  # float32 holds every integer up to here


def check_tensors(subject: str, model: nn.Module) -> None:
    """Check that a model can be trained as a flat vector.

    Args:
        subject: What messages begin with.
        model: As its function has returned it, before it is converted or moved.

    Raises:
        UserError: If it can't, and why.
    """
    parameters = dict(model.named_parameters())
    if not parameters:
        raise UserError(
            f"{subject}, but that model has no parameters; assign its layers to "
            "attributes of the module, lists of layers as torch.nn.ModuleList"
        )
    for key, parameter in parameters.items():
        _check_parameter(subject, key, parameter)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise UserError(
            f"{subject}, but all parameters of its model are frozen (requires_grad=False), so "
            "that nothing can be learned; leave at least one to be trained, such as "
            f"'{[*parameters][-1]}'"
        )
    for key, tensor in chain(parameters.items(), model.named_buffers()):
        _check_has_values(subject, key, tensor)
    for key, buffer, _, _ in persistent_buffers(model):
        _check_integers(subject, key, buffer)
    _check_memory(subject, model)


def _check_parameter(subject: str, key: str, parameter: nn.Parameter) -> None:
    if isinstance(parameter, UninitializedParameter):
        raise UserError(
            f"{subject}, but its parameter '{key}' has no shape yet; call the "
            "model once before returning it, or use layers that aren't lazy"
        )


def _check_has_values(subject: str, key: str, tensor: Tensor) -> None:
    if tensor.is_meta:
        raise UserError(
            f"{subject}, but its '{key}' is on the device 'meta' and has no values; "
            "make the model on the processor"
        )
    if tensor.is_inference():
        raise UserError(
            f"{subject}, but its '{key}' was made in torch.inference_mode and can't "
            "be trained; make the model outside it"
        )


def _check_integers(subject: str, key: str, buffer: Tensor) -> None:
    if buffer.is_floating_point() or buffer.is_complex() or not buffer.numel():
        return
    largest = max(abs(int(buffer.min())), abs(int(buffer.max())))
    if largest > _LARGEST_EXACT:
        raise UserError(
            f"{subject}, but its buffer '{key}' holds integers up to {largest}, and "
            f"buffers travel as float32, which holds all up to {_LARGEST_EXACT}; if it is a "
            "constant, register it with persistent=False"
        )


def _check_memory(subject: str, model: nn.Module) -> None:
    """Refuse two tensors in the same memory, of which one is a parameter: each gets its own."""
    kept: list[tuple[str, Tensor, bool]] = []
    kept += [(key, parameter, True) for key, parameter in model.named_parameters()]
    kept += [(key, buffer, False) for key, buffer in model.named_buffers()]
    pieces = sorted(
        (tensor.data_ptr(), _end(tensor), key, is_parameter)
        for key, tensor, is_parameter in kept
        if tensor.layout == torch.strided and tensor.numel()
    )
    reached, last_key, is_last_parameter = 0, "", False
    for start, end, key, is_parameter in pieces:
        if start < reached and (is_parameter or is_last_parameter):
            raise UserError(
                f"{subject}, but its '{last_key}' and '{key}' lie in the same memory, "
                "and each tensor gets memory of its own; to share a parameter, assign the same "
                "torch.nn.Parameter to both places; of a buffer take a clone()"
            )
        if end > reached:
            reached, last_key, is_last_parameter = end, key, is_parameter


def _end(tensor: Tensor) -> int:
    """Return the address behind the last element."""
    spans = (
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )
    return tensor.data_ptr() + (sum(spans) + 1) * tensor.element_size()
