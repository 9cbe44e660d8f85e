"""Which models run no code but such of which is known what it leaves alone."""

from functools import partial
from types import FunctionType, MethodType

from torch import Tensor, nn

from hybridmpi.learning.plain_forward import only_passes_tensors

_KNOWN = ("torch.nn.modules.", "torchvision.models.", "torchvision.ops.")
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


def may_draw(model: nn.Module) -> bool:
    """Say whether a forward pass may draw random numbers."""
    return any(type(module) not in _DRAWS_NOTHING for module in model.modules())


def may_change_parameters(model: nn.Module) -> bool:
    """Say whether a forward or backward pass may write to parameters.

    What torch and torchvision bring doesn't, except embeddings with `max_norm`, and a class of the
    user's doesn't that only passes tensors through such modules. Any other code may: another class,
    a hook, a function that a module has been given.
    """
    return not all(
        _is_as_it_came(module) and (_is_known(module) or only_passes_tensors(module))
        for module in model.modules()
    )


def has_own_code(model: nn.Module) -> bool:
    """Say whether any code of the user's runs in a forward or backward pass, whatever it does."""
    return not all(_is_as_it_came(module) and _is_known(module) for module in model.modules())


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
        return not value.__module__.startswith(("torch.", "torchvision."))
    return isinstance(value, partial)


def _is_plain(parameter: nn.Parameter) -> bool:
    hooks = (parameter._backward_hooks, parameter._post_accumulate_grad_hooks)
    return type(parameter) is nn.Parameter and not any(hooks)
