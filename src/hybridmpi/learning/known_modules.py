"""Which models run no code but such of which is known what it leaves alone."""

from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from hybridmpi.learning.plain_forward import function_only_passes_tensors, only_passes_tensors

_OURS = "hybridmpi.learning."
_KNOWN = ("torch.nn.modules.", "torchvision.models.", "torchvision.ops.", _OURS)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

# Modules that certainly draw no random numbers. All others are taken to draw some, also containers,
# whose forward may call, say, functional.dropout: seeding without need only costs microseconds.
_DRAWS_NOTHING = frozenset(
    {
        nn.Sequential,
        nn.Linear,
        nn.Conv2d,
        nn.BatchNorm1d,
        nn.BatchNorm2d,
        nn.LayerNorm,
        nn.GroupNorm,
        nn.ZeroPad2d,
        nn.MaxPool2d,
        nn.AvgPool2d,
        nn.AdaptiveAvgPool2d,
        nn.Flatten,
        nn.Identity,
        nn.ReLU,
        nn.GELU,
        nn.SiLU,
        nn.Tanh,
        nn.Sigmoid,
    }
)


def may_draw(model: nn.Module, loss: Callable[..., Any]) -> bool:
    """Say whether a loss, with the forward pass in it, may draw random numbers."""
    return not _is_ours(loss) or any(
        type(module) not in _DRAWS_NOTHING for module in model.modules()
    )


def generators_in(model: nn.Module) -> list[torch.Generator]:
    """Return the generators that modules have of their own, in order, each once."""
    values = (value for module in model.modules() for value in vars(module).values())
    return list({id(v): v for v in values if isinstance(v, torch.Generator)}.values())


def may_change_parameters(model: nn.Module, *functions: Callable[..., Any]) -> bool:
    """Say whether a forward or backward pass, or a function of the model, may write to parameters.

    What torch and torchvision bring doesn't, except embeddings with `max_norm`, and a class of the
    user's doesn't that only passes tensors through such modules. Any other code may: another class,
    a hook, a function that a module has been given.
    """
    return not (
        all(
            _is_as_it_came(module) and (_is_known(module) or only_passes_tensors(module))
            for module in model.modules()
        )
        and all(_is_ours(each) or function_only_passes_tensors(each, model) for each in functions)
    )


def has_own_code(model: nn.Module, *functions: Callable[..., Any]) -> bool:
    """Say whether any code of the user's runs in a forward or backward pass, whatever it does."""
    return not (
        all(_is_as_it_came(module) and _is_known(module) for module in model.modules())
        and all(map(_is_ours, functions))
    )


def _is_ours(function: Callable[..., Any]) -> bool:
    """Say whether a function is one of this package's, or calls one on arguments of ours."""
    if isinstance(function, partial):
        return _is_ours(function.func)
    if isinstance(function, MethodType):
        return type(function.__self__).__module__.startswith(_OURS)
    of = function if isinstance(function, FunctionType) else type(function)
    return (of.__module__ or "").startswith(_OURS)  # code that is executed from a string has none


def _is_known(module: nn.Module) -> bool:
    return type(module).__module__.startswith(_KNOWN)


def _is_as_it_came(module: nn.Module) -> bool:
    """Say whether nothing was put into a module that runs or makes it write anything else."""
    attributes = vars(module)
    return (
        attributes.get("max_norm") is None
        and not any(attributes[hooks] for hooks in _HOOKS)
        and not any(_is_foreign(value) for value in attributes.values())
        and all(_is_plain(parameter) for parameter in module.parameters(recurse=False))
        and all(type(buffer) is Tensor for buffer in module.buffers(recurse=False))
    )


def _is_foreign(value: object) -> bool:
    """Say whether an attribute is a function that isn't torch's, such as a forward put in later."""
    if isinstance(value, FunctionType | MethodType):
        return not (value.__module__ or "").startswith(("torch.", "torchvision."))
    return isinstance(value, partial)


def _is_plain(parameter: nn.Parameter) -> bool:
    hooks = (parameter._backward_hooks, parameter._post_accumulate_grad_hooks)
    return type(parameter) is nn.Parameter and not any(hooks)
