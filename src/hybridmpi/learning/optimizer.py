"""The server's arithmetic: buffered gradients become one, and one step makes the next version."""

import inspect
from collections.abc import Mapping, Sequence
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

# Elements per pass of `aggregate`: 256 KiB, so that the sum stays in a core's cache. Against passes
# over the whole vector that saves a fifth of the time on 25 rows of 11.7 M elements.
_BLOCK = 65_536


class ServerOptimizer:
    """Takes steps on flat vectors with one of torch.optim's optimizers.

    The optimizer's state (momentum, ...) belongs to this object, not to a vector: every step may
    write to another one.
    """

    def __init__(
        self,
        name: str,
        layout: Layout,
        *,
        options: Mapping[str, Any],
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        """Prepare an optimizer.

        Args:
            name: The optimizer's name in torch.optim, in any case: "sgd", "AdamW".
            layout: The model's.
            options: Its arguments in torch.optim besides the learning rate.
            clip_norm: The largest norm of the whole gradient, see torch's clip_grad_norm_.
            clip_value: The largest element, see torch's clip_grad_value_; applied after clip_norm.

        Raises:
            UserError: If torch.optim has no such optimizer, it can't be used here, or it doesn't
                take these options.
        """
        optimizer_class = _optimizer_class(name)
        _check_options(optimizer_class, options)
        self._layout = layout
        self._clip_norm = clip_norm
        self._clip_value = clip_value
        # A fused kernel rounds the last few elements of a tensor in another way than the others.
        self._is_elementwise = name.lower() in _ELEMENTWISE and not options.get("fused")
        # Only their shapes matter before the first step, which puts a target in their place.
        self._tensors = self._parts(torch.zeros(layout.num_parameters))
        try:
            self._optimizer = optimizer_class(self._tensors, **options)
        except (ValueError, TypeError, IndexError, RuntimeError) as error:
            raise UserError(
                f"torch.optim.{optimizer_class.__name__} refuses this model or its options "
                f"({_shown(options)}): {error}"
            ) from error
        state = ("momentum", "weight_decay", "maximize", "fused")
        self._is_plain_sgd = (
            name.lower() == "sgd"
            and clip_norm is None
            and clip_value is None
            and not any(options.get(key) for key in state)
        )

    def step(self, source: Tensor, target: Tensor, gradient: Tensor, learning_rate: float) -> None:
        """Write the next version's parameters to `target`; buffers behind them stay as they are.

        Args:
            source: This version's parameters, shape [size]; only read.
            target: Receives the next version's, shape [size]; may be `source` itself.
            gradient: At least num_parameters elements. Clipping changes it in place.
            learning_rate: For this step.
        """
        if self._layout.buffers or len(gradient) > self._layout.num_parameters:
            source, target, gradient = (
                vector[: self._layout.num_parameters] for vector in (source, target, gradient)
            )
        if self._is_plain_sgd:
            torch.add(source, gradient, alpha=-learning_rate, out=target)
        else:
            self._step_with_state(source, target, gradient, learning_rate)

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
        self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.step()

    def _parts(self, vector: Tensor) -> list[Tensor]:
        return [vector] if self._is_elementwise else self._per_parameter(vector)

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
    signature = inspect.signature(optimizer_class.__init__).parameters
    allowed = {key: value.default for key, value in signature.items() if key not in _NOT_OPTIONS}
    for option in options.keys() - allowed.keys():
        raise UserError(
            f"'{option}' is no option of torch.optim.{name}; its options and defaults are "
            f"{_shown(allowed)}"
        )


def _shown(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in options.items())


def aggregate(rows: Sequence[Tensor], weights: Sequence[float], out: Tensor) -> Tensor:
    """Add up weighted gradients, in the order given.

    Args:
        rows: Gradients, each with at least as many elements as `out`.
        weights: One factor per row.
        out: Receives the sum.

    Returns:
        `out`, or the row itself where there is only one and its weight is 1.
    """
    if len(rows) == 1 and weights[0] == 1.0:
        return rows[0]
    blocks = (vector[: len(out)].split(_BLOCK) for vector in (out, *rows))  # type: ignore[no-untyped-call]
    for total, first, *others in zip(*blocks, strict=True):
        torch.mul(first, weights[0], out=total)
        for other, weight in zip(others, weights[1:], strict=True):
            total.add_(other, alpha=weight)
    return out


def average_buffers(
    layout: Layout, rows: Sequence[Tensor], samples: Sequence[int], target: Tensor
) -> None:
    """Write the mean of the workers' buffers, weighted by samples, behind `target`'s parameters.

    Buffers are statistics, so this is a mean however gradients are aggregated. It is taken in
    float64: a buffer that all workers agree on stays exactly as it is. Integers are rounded.

    Args:
        layout: The model's.
        rows: Pushes, each of shape [size].
        samples: The batch size behind each row.
        target: Parameters of the next version, shape [size].
    """
    if not layout.buffers:
        return
    tail = slice(layout.num_parameters, layout.size)
    mean = torch.zeros(layout.size - layout.num_parameters, dtype=torch.float64)
    for row, count in zip(rows, samples, strict=True):
        mean.add_(row[tail], alpha=count / sum(samples))
    target[tail] = mean
    for entry in layout.buffers:
        if not entry.dtype.startswith("float"):
            entry.view(target).round_()
