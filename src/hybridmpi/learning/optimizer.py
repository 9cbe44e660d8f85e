"""torch.optim's optimizers on flat vectors."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from hybridmpi.errors import UserError, nearest
from hybridmpi.learning.flat import Layout

# These treat every element alike and keep no state that depends on a parameter's shape, so that one
# flat tensor gives the same bits as a tensor per parameter, and needs only one call.
_ELEMENTWISE = {
    *("sgd", "asgd", "rprop", "rmsprop", "adagrad", "adadelta"),
    *("adam", "adamw", "adamax", "nadam", "radam"),
}
_REFUSED = {
    "lbfgs": "it evaluates the loss several times per step, but the server only has gradients",
    "sparseadam": "it takes sparse gradients, but gradients here are dense; take adam",
}
# `params` is the model's; the last two serve CUDA graphs and differentiating through the step.
_NOT_OPTIONS = {"self", "params", "lr", "capturable", "differentiable"}


@dataclass(frozen=True)
class Group:
    """How some of the parameters are stepped.

    Attributes:
        learning_rate_factor: Of the learning rate.
        weight_decay: In place of the optimizer's own; None for that.
    """

    learning_rate_factor: float = 1.0
    weight_decay: float | None = None


class ServerOptimizer:
    """Takes steps on flat vectors with one of torch.optim's optimizers.

    The optimizer's state (momentum, ...) belongs to this object, not to a vector: every step may
    write to another one.

    Attributes:
        is_plain_sgd: Whether a step treats every element alike and keeps no state, so that it may
            be taken part by part.
    """

    def __init__(
        self,
        name: str,
        layout: Layout,
        *,
        options: Mapping[str, Any],
        clip_norm: float | None = None,
        clip_value: float | None = None,
        groups: Mapping[str, Group] = MappingProxyType({}),
    ) -> None:
        """Prepare an optimizer.

        Args:
            name: The optimizer's name in torch.optim, in any case: "sgd", "AdamW".
            layout: The model's.
            options: Its arguments in torch.optim besides the learning rate.
            clip_norm: The largest norm of the whole gradient, see torch's clip_grad_norm_.
            clip_value: The largest element, see torch's clip_grad_value_; applied after clip_norm.
            groups: For patterns of parameters' names (as in a shell, where `*` also matches dots)
                how these are stepped; the first pattern that a name matches counts.

        Raises:
            UserError: If torch.optim has no such optimizer, it can't be used here, it doesn't take
                these options, or a pattern matches no parameter.
        """
        optimizer_class = _optimizer_class(name)
        _check_options(optimizer_class, options)
        check_groups(optimizer_class, groups)
        self._groups, self._members = _grouped(layout, groups)
        self._layout = layout
        self._clip_norm = clip_norm
        self._clip_value = clip_value
        # A fused kernel rounds the last few elements of a tensor in another way than the others.
        self._is_elementwise = name.lower() in _ELEMENTWISE and not options.get("fused")
        self._tensors: list[Tensor] = []
        self.is_plain_sgd = (
            name.lower() == "sgd"
            and clip_norm is None
            and clip_value is None
            and not groups
            and all(value == 0 for value in options.values())
        )
        if not self.is_plain_sgd:  # making one has torch import its compiler: a second or two
            # Only their shapes matter before the first step, which puts a target in their place.
            self._tensors = self._parts(torch.zeros(layout.num_parameters))
            self._optimizer = _made(optimizer_class, self._param_groups(), options)

    def step(
        self, source: Tensor, target: Tensor, gradient: Tensor, scale: float, learning_rate: float
    ) -> None:
        """Write the next version's parameters to `target`; buffers behind them stay as they are.

        Args:
            source: This version's parameters, shape [size]; only read.
            target: Receives the next version's, shape [size]; may be `source` itself.
            gradient: Shape [size]; may be changed in place.
            scale: A factor of the gradient.
            learning_rate: For this step.
        """
        if self._layout.buffers:
            source, target, gradient = (
                vector[: self._layout.num_parameters] for vector in (source, target, gradient)
            )
        if self.is_plain_sgd:
            torch.add(source, gradient, alpha=-learning_rate * scale, out=target)
        else:
            if scale != 1.0:
                gradient.mul_(scale)
            self._step_with_state(source, target, gradient, learning_rate)

    def state(self) -> dict[str, Tensor]:
        """Return the optimizer's state (momentum, ...), as "part.name"; not copied."""
        return {
            f"{index}.{name}": value
            for index, tensor in enumerate(self._tensors)
            for name, value in self._optimizer.state[tensor].items()
            if isinstance(value, Tensor)
        }

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another optimizer of these options was whose `state` this is.

        Raises:
            IndexError: If it had more parameters.
        """
        for name, value in state.items():
            index, _, key = name.partition(".")
            self._optimizer.state[self._tensors[int(index)]][key] = value

    @torch.no_grad()
    def _step_with_state(
        self, source: Tensor, target: Tensor, gradient: Tensor, learning_rate: float
    ) -> None:
        self._clip(gradient)
        if target.data_ptr() != source.data_ptr():
            target.copy_(source)
        for tensor, part, part_gradient in zip(
            self._tensors, self._parts(target), self._parts(gradient), strict=True
        ):
            tensor.data, tensor.grad = part, part_gradient
        for group, of_torch in zip(self._groups, self._optimizer.param_groups, strict=True):
            of_torch["lr"] = learning_rate * group.learning_rate_factor
        self._optimizer.step()

    def _parts(self, vector: Tensor) -> list[Tensor]:
        """Cut a vector into the tensors to step: few long ones, where elements are alike."""
        if not self._is_elementwise:
            return self._per_parameter(vector)
        return [vector[start:end] for start, end, _ in self._runs()]

    def _runs(self) -> list[tuple[int, int, int]]:
        """Return start, end and group of each longest run of parameters of one group."""
        runs: list[tuple[int, int, int]] = []
        for entry, member in zip(self._layout.parameters, self._members, strict=True):
            end = entry.offset + math.prod(entry.shape)
            if runs and runs[-1][2] == member:
                runs[-1] = (runs[-1][0], end, member)
            else:
                runs.append((entry.offset, end, member))
        return runs

    def _param_groups(self) -> list[dict[str, Any]]:
        """Return the tensors to step as torch.optim takes them."""
        members = [member for *_, member in self._runs()] if self._is_elementwise else self._members
        found: list[dict[str, Any]] = [
            {"params": []} | ({} if g.weight_decay is None else {"weight_decay": g.weight_decay})
            for g in self._groups
        ]
        for tensor, member in zip(self._tensors, members, strict=True):
            found[member]["params"].append(tensor)
        return found

    def _per_parameter(self, vector: Tensor) -> list[Tensor]:
        return [entry.view(vector) for entry in self._layout.parameters]

    def _clip(self, gradient: Tensor) -> None:
        if self._clip_norm is None and self._clip_value is None:
            return
        # Per parameter, since the norm of norms has other bits than the norm of all elements.
        parts = self._per_parameter(gradient)
        for part in parts:
            part.grad = part.detach()
        if self._clip_norm is not None:
            nn.utils.clip_grad_norm_(parts, self._clip_norm)
        if self._clip_value is not None:
            nn.utils.clip_grad_value_(parts, self._clip_value)


def check_groups(optimizer_class: type[torch.optim.Optimizer], groups: Mapping[str, Group]) -> None:
    """Refuse what an optimizer cannot do for some parameters only.

    Raises:
        UserError: If so.
    """
    for pattern, group in groups.items():
        if group.weight_decay is not None and "weight_decay" not in _options_of(optimizer_class):
            raise UserError(
                f"optimizer.groups.'{pattern}' sets weight_decay, which torch.optim."
                f"{optimizer_class.__name__} does not have; leave it out, or take adamw or sgd"
            )


def _grouped(layout: Layout, groups: Mapping[str, Group]) -> tuple[list[Group], list[int]]:
    """Return the groups that have members, and the number of each parameter's group."""
    patterns = list(groups)
    matched = [
        next((n for n, pattern in enumerate(patterns) if fnmatchcase(entry.name, pattern)), -1)
        for entry in layout.parameters
    ]
    names = [entry.name for entry in layout.parameters]
    for number, pattern in enumerate(patterns):
        if number not in matched:
            known = any(fnmatchcase(name, pattern) for name in names)
            raise UserError(
                f"optimizer.groups.'{pattern}' is for no parameter: "
                + (
                    "all that it matches belong to a pattern before it; put it first"
                    if known
                    else f"none that is trained has such a name; they are {_listed(names)}"
                )
            )
    used = sorted(set(matched))
    found = [Group() if number < 0 else groups[patterns[number]] for number in used]
    return found, [used.index(number) for number in matched]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def check_optimizer(
    name: str, options: Mapping[str, Any], groups: Mapping[str, Group] = MappingProxyType({})
) -> None:
    """Refuse an optimizer that cannot be had, whatever the model.

    Raises:
        UserError: As `ServerOptimizer` does.
    """
    optimizer_class = _optimizer_class(name)
    _check_options(optimizer_class, options)
    check_groups(optimizer_class, groups)
    _made(optimizer_class, [{"params": [torch.zeros(1)]}], options)


def _optimizer_class(name: str) -> type[torch.optim.Optimizer]:
    classes = {
        key.lower(): value
        for key, value in vars(torch.optim).items()
        if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer)
    }
    usable = classes.keys() - _REFUSED.keys() - {"optimizer"}
    if name.lower() in _REFUSED:
        raise UserError(f"optimizer '{name}' can't be used: {_REFUSED[name.lower()]}")
    if name.lower() not in usable:
        raise UserError(f"optimizer '{name}' isn't in torch.optim; {nearest(name.lower(), usable)}")
    return classes[name.lower()]


def _check_options(
    optimizer_class: type[torch.optim.Optimizer], options: Mapping[str, Any]
) -> None:
    name = optimizer_class.__name__
    if "lr" in options:
        raise UserError("the optimizer option lr can't be set; it is learning_rate")
    allowed = _options_of(optimizer_class)
    for option in options.keys() - allowed.keys():
        raise UserError(
            f"'{option}' is no option of torch.optim.{name}; its options and defaults are "
            f"{_shown(allowed)}"
        )


def _options_of(optimizer_class: type[torch.optim.Optimizer]) -> dict[str, Any]:
    """Return the options with their defaults."""
    signature = inspect.signature(optimizer_class.__init__).parameters
    return {key: value.default for key, value in signature.items() if key not in _NOT_OPTIONS}


def _made(
    optimizer_class: type[torch.optim.Optimizer],
    groups: list[dict[str, Any]],
    options: Mapping[str, Any],
) -> torch.optim.Optimizer:
    try:
        return optimizer_class(groups, **options)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        raise UserError(
            f"torch.optim.{optimizer_class.__name__} refuses this model or its options "
            f"({_shown(options)}): {error}"
        ) from error


def _shown(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in options.items())
