"""Which classes of a user's only pass tensors through their modules.

Such a class can't change a parameter, nor a setting, nor itself: no expression in its methods can
have a parameter as its value, or anything that hands one out. Their compiled code tells: it names
nothing but the object's own modules, buffers and constants, and functions of torch's on tensors;
it stores nothing but local variables; and it calls nothing else. In doubt a class isn't of these.
"""

import builtins
import dis
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType

import torch
from torch import nn
from torch.nn import functional

# Names that code may take from any object. None of them is an attribute of `nn.Module`, where
# `to` or `half`, for instance, would write to parameters.
_FOR_TENSORS = """
    nn functional adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d add alpha_dropout amax
    amin argmax avg_pool1d avg_pool2d batch_norm bmm cat chunk clamp clone concat contiguous conv1d
    conv2d cos dim dropout dropout1d dropout2d einsum elu exp expand flatten gelu glu hardswish
    interpolate layer_norm leaky_relu log log_softmax matmul max max_pool1d max_pool2d mean min mish
    movedim mul ndim normalize numel pad permute pow relu relu6 repeat reshape selu shape sigmoid
    silu sin size softmax softplus split sqrt squeeze stack sub sum tanh transpose tril unbind
    unflatten unsqueeze view scaled_dot_product_attention cross_entropy nll_loss mse_loss l1_loss
    smooth_l1_loss huber_loss binary_cross_entropy binary_cross_entropy_with_logits
"""
OF_TORCH = frozenset(_FOR_TENSORS.split())
_BUILTINS = frozenset(
    {"enumerate", "float", "int", "len", "max", "min", "range", "reversed", "zip"}
)
_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_ATTR", "LOAD_METHOD"})
_REFUSED = frozenset({"MATCH_CLASS", "STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE"})


def only_passes_tensors(module: nn.Module) -> bool:
    """Say whether the methods of a module's class only pass tensors through its modules.

    Nothing is said of those modules, nor of hooks.
    """
    *own, last, _ = type(module).__mro__
    if last is not nn.Module or type(type(module)) is not type:
        return False
    members = [
        item
        for each in own
        for item in vars(each).items()
        if item[0] not in {"__init__", "__annotations__"}
    ]
    methods = [value for _, value in members if isinstance(value, FunctionType)]
    if not all(
        _is_constant(value) or (isinstance(value, FunctionType) and not name.startswith("__"))
        for name, value in members
    ):
        return False
    return _pass_tensors(methods, module)


def function_only_passes_tensors(function: object, model: nn.Module) -> bool:
    """Say whether a function of a model and a batch only passes tensors through the model.

    Nothing is said of the model's modules.
    """
    return isinstance(function, FunctionType) and _pass_tensors([function], model)


def _pass_tensors(functions: list[FunctionType], module: nn.Module) -> bool:
    within = list(module.modules())
    names = {name for function in functions for name in _names(function.__code__)}
    return all(_is_plain_method(function) for function in functions) and all(
        (name in OF_TORCH or _has(module, name))
        and all(_gives_plain(each, name) for each in within)
        for name in names
    )


def _is_plain_method(method: FunctionType) -> bool:
    """Say whether a method names what it may, apart from attributes, and stores only locally."""
    code = method.__code__
    defaults = (*(method.__defaults__ or ()), *(method.__kwdefaults__ or {}).values())
    found = list(dis.get_instructions(code))
    return (
        not (code.co_freevars or code.co_cellvars)
        and not any(isinstance(each, CodeType) for each in code.co_consts)
        and all(_is_constant(each) for each in defaults)
        and not any(each.opname in _REFUSED for each in found)
        and all(each.opname in _LOADS for each in found if each.opcode in dis.hasname)
        and all(
            _is_of_torch(method.__globals__, each.argval)
            for each in found
            if each.opname == "LOAD_GLOBAL"
        )
    )


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names of attributes that code takes from objects."""
    for each in dis.get_instructions(code):
        if each.opcode in dis.hasname and each.opname != "LOAD_GLOBAL":
            yield each.argval


def _is_of_torch(scope: dict[str, object], name: str) -> bool:
    """Say whether a global name means torch, a function of it, a constant, or a plain builtin."""
    if name not in scope:
        return name in _BUILTINS and hasattr(builtins, name)
    value = scope[name]
    if _is_constant(value):
        return True
    known = [getattr(of, each, torch) for of in (torch, functional) for each in OF_TORCH]
    return any(value is each for each in (torch, nn, functional, *known))


def _has(module: nn.Module, name: str) -> bool:
    return name == "training" or name in vars(module) or hasattr(module, name)


def _gives_plain(module: nn.Module, name: str) -> bool:
    """Say whether what a module has under a name, if anything, hands out no parameter."""
    if isinstance(module, nn.ParameterList | nn.ParameterDict) or name in module._parameters:
        return False
    if name in vars(module):
        return _is_constant(vars(module)[name])
    if name in module._modules or name in module._buffers:
        return True
    # A method of a user's class is looked at with its own module; torch's may do anything.
    found: Callable[..., object] | None = getattr(type(module), name, None)
    return found is None or _is_constant(found) or _is_users(found)


def _is_users(function: object) -> bool:
    if not isinstance(function, FunctionType):
        return False
    return not (function.__module__ or "").startswith("torch")


def _is_constant(value: object) -> bool:
    if isinstance(value, tuple):
        return all(_is_constant(each) for each in value)
    return value is None or type(value) in {bool, int, float, str}
