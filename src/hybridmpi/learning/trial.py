"""A model is tried before training, as training and evaluation will use it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybridmpi.errors import UserError
from hybridmpi.learning.settings import torch_settings_kept

Mode = Literal["training", "evaluation"]
# Numbers of samples that a model is given. Two different ones show that it takes any; what is left
# over at the end of an evaluation may be a single one.
SIZES: dict[Mode, tuple[int, ...]] = {"training": (2, 3), "evaluation": (2, 1)}


class Trial:
    """Forward and backward passes of one model on a few samples.

    Args:
        name: The model's, for messages.
        model: Its forward pass may leave traces on it, except on the values of parameters.
        samples: Inputs as the model is given them, float32, [samples, channels, height, width].
        num_classes: How many outputs it must have.
        is_real: Whether they are the data set's, so that no output in evaluation may be NaN.
        precision: The job's `model.precision`.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        samples: Tensor,
        num_classes: int,
        *,
        is_real: bool,
        precision: Literal["float32", "bfloat16"],
    ) -> None:
        self._name = name
        self._model = model
        self._samples = samples
        self._num_classes = num_classes
        self._is_real = is_real
        self._is_bfloat16 = precision == "bfloat16"

    def run(self) -> None:
        """Try the model.

        Raises:
            UserError: If it doesn't give, in training and in evaluation, for any number of samples,
                one tensor of floating-point numbers of shape [samples, num_classes]; or it replaces
                or freezes parameters.
        """
        before = dict(self._model.named_parameters())
        self._model.train()
        for size in SIZES["training"]:
            output = self._output("training", size)
            self._check_parameters(before)
            self._check_gradient(output, list(before.values()))
        self._model.eval()
        with torch.no_grad():
            for size in SIZES["evaluation"]:
                self._output("evaluation", size)
        self._check_parameters(before)

    def _output(self, mode: Mode, size: int) -> Tensor:
        inputs = self._samples[torch.arange(size) % len(self._samples)]
        try:
            with self._precision(mode), torch_settings_kept():
                output: Any = self._model(inputs)
        except Exception as error:  # models refuse inputs in many ways
            raise self._error(
                f"which can't take inputs of shape {[size, *self._samples.shape[1:]]} in {mode} "
                f"({type(error).__name__}: {error}); take another model, or data of the shape that "
                "this one expects; it must take any number of samples"
            ) from error
        self._check_output(output, mode, size)
        return output  # type: ignore[no-any-return]

    def _precision(self, mode: Mode) -> AbstractContextManager[object]:
        if self._is_bfloat16 and mode == "training":
            return torch.autocast(self._samples.device.type, torch.bfloat16)
        return nullcontext()

    def _check_output(self, output: Any, mode: Mode, size: int) -> None:
        wanted = [size, self._num_classes]
        if not isinstance(output, Tensor):
            raise self._error(
                f"whose output in {mode} is {type(output).__name__}, but must be one tensor of "
                f"shape [batch, {self._num_classes}]; wrap it in a model of your own"
            )
        if list(output.shape) != wanted:
            raise self._error(
                f"whose output in {mode} for inputs of shape {[size, *self._samples.shape[1:]]} "
                f"has shape {list(output.shape)}, but must have {wanted}: one number per class "
                "for each sample, whatever their number"
            )
        if not output.is_floating_point():
            raise self._error(
                f"whose output in {mode} is {output.dtype}, but must be floating-point numbers, "
                "one per class; return them as they are before any argmax"
            )
        # In training a run counts them, and ends after `run.non_finite_limit` in a row.
        if mode == "evaluation" and self._is_real and output.isnan().any():
            raise self._error("whose output in evaluation is NaN for samples of the data set")

    def _check_gradient(self, output: Tensor, parameters: list[nn.Parameter]) -> None:
        if not output.requires_grad:
            raise self._error(
                "whose output in training doesn't depend on its parameters, so that nothing can be "
                "learned; leave out torch.no_grad, detach, item and numpy on the way to it"
            )
        labels = torch.zeros(len(output), dtype=torch.int64, device=output.device)
        try:
            loss = functional.cross_entropy(output, labels)
            torch.autograd.grad(loss, parameters, allow_unused=True)
        except Exception as error:  # a backward pass runs the user's code, too
            raise self._error(
                f"whose gradient can't be computed ({type(error).__name__}: {error})"
            ) from error

    def _check_parameters(self, before: dict[str, nn.Parameter]) -> None:
        now = dict(self._model.named_parameters())
        for key in before.keys() | now.keys():
            if now.get(key) is not before.get(key):
                raise self._error(
                    f"which puts another parameter in the place of '{key}' in its forward pass, "
                    "whose gradient nobody would see; change the values of the one that is there"
                )
            if not now[key].requires_grad:
                raise self._error(
                    f"which freezes its parameter '{key}' (requires_grad=False) in its forward "
                    "pass; make it a buffer with register_buffer"
                )

    def _error(self, what: str) -> UserError:
        return UserError(f"model.name is '{self._name}', {what}")


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Afterwards the buffers of a model that writes them in place have the values they had."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)
