"""A problem is tried on its model before training, as training and evaluation will use them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hybridmpi.errors import UserError
from hybridmpi.learning.flat import CHANGED_FROZEN, is_frozen
from hybridmpi.learning.nests import leaves, map_leaves, num_samples, shapes
from hybridmpi.learning.problem import LOSS, Batch, Mode, Problem
from hybridmpi.learning.settings import torch_settings_kept

# Numbers of samples that a model is given. Two different ones show that it takes any; what is left
# over at the end of an evaluation may be a single one.
SIZES: dict[Mode, tuple[int, ...]] = {"training": (2, 3), "evaluation": (2, 1)}


class Trial:
    """Forward and backward passes of one model on a few samples.

    Args:
        problem: The problem.
        model: Its forward pass may leave traces on it, except on the values of parameters.
        examples: A batch as the model is given it, of at least one sample.
        precision: The job's `model.precision`.
    """

    def __init__(
        self,
        problem: Problem,
        model: nn.Module,
        examples: Batch,
        *,
        precision: Literal["float32", "bfloat16"],
    ) -> None:
        self._problem = problem
        self._model = model
        self._examples = examples
        self._is_bfloat16 = precision == "bfloat16"

    def run(self) -> None:
        """Try the model.

        Raises:
            UserError: If, in training, the loss can't be computed of any number of samples, is no
                scalar, or depends on no parameter; a metric doesn't give one number per sample; or
                the model replaces or freezes parameters.
        """
        before = dict(self._model.named_parameters())
        is_trained = {name: each.requires_grad for name, each in before.items()}
        versions = {name: each._version for name, each in before.items() if is_frozen(each)}
        self._model.train()
        for size in SIZES["training"]:
            loss = self._loss("training", size)
            self._check_parameters(before, is_trained)
            self._check_gradient(loss, [each for each in before.values() if each.requires_grad])
        self._model.eval()
        with torch.no_grad():
            for size in SIZES["evaluation"]:
                self._evaluate(size)
        self._check_parameters(before, is_trained)
        for name, version in versions.items():
            if before[name]._version != version:
                raise self._error(f"whose model {CHANGED_FROZEN.format(name=name)}")

    def _loss(self, mode: Mode, size: int) -> Tensor:
        problem, batch = self._problem, self._batch(size)
        with self._precision(mode), torch_settings_kept():
            if problem.examine is not None:
                return problem.examine(self._model, batch, mode)
            loss = self._called(problem.loss, "loss", batch, mode)
        if not isinstance(loss, Tensor):
            raise self._error(
                f"whose loss is {type(loss).__name__}, but must be a scalar tensor, the mean over "
                "the batch; leave out item, float and numpy"
            )
        if loss.dim():
            raise self._error(
                f"whose loss of a batch of {size} samples has shape {list(loss.shape)}, but must "
                "be a scalar, the mean over the batch; take .mean() of it"
            )
        if not loss.is_floating_point():
            raise self._error(
                f"whose loss is {loss.dtype}, but must be a floating-point number; count what is "
                "right in a metric"
            )
        return loss

    def _evaluate(self, size: int) -> None:
        problem = self._problem
        if problem.examine is not None or LOSS not in problem.metrics:
            self._loss("evaluation", size)
        if problem.examine is not None:
            return
        for function, names in problem.per_sample().items():
            with torch_settings_kept():
                what = f"metric '{names[0]}'"
                measured = self._called(function, what, self._batch(size), "evaluation")
            for name in names:
                self._check_metric(name, measured, size)
        for name, metric in problem.metrics.items():
            if metric.per == "model":
                with torch_settings_kept():
                    self._check_number(name, self._called(metric.function, f"metric '{name}'"))

    def _called(self, function: Callable[..., Any], what: str, *arguments: Any) -> Any:
        """Call a function of the model; `arguments` are a batch and a mode, or nothing."""
        batch, mode = arguments or (None, "evaluation")
        try:
            return function(self._model, *arguments[:1])
        except UserError:
            raise
        except Exception as error:  # models refuse inputs in many ways
            of = f" of a batch of shapes {shapes(batch)}" if arguments else ""
            raise self._error(
                f"whose {what}{of} can't be computed in {mode} ({type(error).__name__}: {error}); "
                "it must take any number of samples"
            ) from error

    def _check_metric(self, name: str, measured: Any, size: int) -> None:
        if isinstance(measured, Mapping):
            if name not in measured:
                raise self._error(
                    f"whose metric '{name}' is missing in what its function returns, a dict of "
                    f"{', '.join(map(str, measured))}; return it there, or take it out"
                )
            measured = measured[name]
        if not isinstance(measured, Tensor) or list(measured.shape) != [size]:
            given = type(measured).__name__
            if isinstance(measured, Tensor):
                given = f"of shape {list(measured.shape)}"
            raise self._error(
                f"whose metric '{name}' is {given} for a batch of {size} samples, but must be a "
                f"tensor of shape [{size}], one number per sample; its mean is taken over all "
                "samples. A number of the model alone is Metric(function, per='model')"
            )
        if measured.is_complex():
            raise self._error(f"whose metric '{name}' is complex, but must be real")

    def _check_number(self, name: str, value: Any) -> None:
        if not isinstance(value, int | float) and not (
            isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex()
        ):
            raise self._error(
                f"whose metric '{name}' is {type(value).__name__} of the model, but must be one "
                "number"
            )

    def _batch(self, size: int) -> Batch:
        numbers = torch.arange(size) % num_samples(self._examples)
        return map_leaves(lambda leaf: leaf[numbers.to(leaf.device)], self._examples)

    def _precision(self, mode: Mode) -> AbstractContextManager[object]:
        if self._is_bfloat16 and mode == "training":
            return torch.autocast(leaves(self._examples)[0].device.type, torch.bfloat16)
        return nullcontext()

    def _check_gradient(self, loss: Tensor, parameters: list[nn.Parameter]) -> None:
        if not loss.requires_grad:
            raise self._error(
                "whose loss in training doesn't depend on its parameters, so that nothing can be "
                "learned; leave out torch.no_grad, detach, item and numpy on the way to it"
            )
        try:
            torch.autograd.grad(loss, parameters, allow_unused=True)
        except Exception as error:  # a backward pass runs the user's code, too
            raise self._error(
                f"whose gradient can't be computed ({type(error).__name__}: {error})"
            ) from error

    def _check_parameters(
        self, before: dict[str, nn.Parameter], is_trained: Mapping[str, bool]
    ) -> None:
        now = dict(self._model.named_parameters())
        for key in before.keys() | now.keys():
            if now.get(key) is not before.get(key):
                raise self._error(
                    f"which puts another parameter in the place of '{key}' in its forward pass, "
                    "whose gradient nobody would see; change the values of the one that is there"
                )
            if now[key].requires_grad != is_trained[key]:
                verb = "freezes" if is_trained[key] else "unfreezes"
                raise self._error(
                    f"which {verb} its parameter '{key}' (requires_grad={not is_trained[key]}) in "
                    "its forward pass; do so when the model is made"
                )

    def _error(self, what: str) -> UserError:
        return UserError(f"{self._problem.subject}, {what}")


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Afterwards the buffers of a model that writes them in place have the values they had."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)
