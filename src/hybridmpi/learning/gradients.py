"""A worker's work: the gradient of one batch, at the parameters of one version."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from hybridmpi.core.randomness import torch_seed
from hybridmpi.learning.accelerator import Accelerator
from hybridmpi.learning.flat import FlatModel
from hybridmpi.learning.known_modules import generators_in, may_draw
from hybridmpi.learning.nests import num_samples
from hybridmpi.learning.problem import Loss
from hybridmpi.learning.single_sample import ADVICE


class Batches(Protocol):
    """A worker's batches by number."""

    def get(self, n: int, /) -> Any:
        """Return the n-th batch, in memory of its own."""


@dataclass(frozen=True)
class Gradient:
    """What is known of a gradient besides its values."""

    loss: float  # mean over the batch, before the step
    samples: int
    is_finite: bool = True  # whether no element of it is NaN or infinite; buffers may be


class GradientComputer:
    """Computes gradients of a loss into flat vectors."""

    def __init__(
        self,
        flat_model: FlatModel,
        loss: Loss,
        *,
        seed: int,
        precision: Literal["float32", "bfloat16"] = "float32",
        accelerator: Accelerator | None = None,
    ) -> None:
        """Prepare to compute.

        Args:
            flat_model: The model, on the accelerator if there is one.
            loss: A function of (model, batch): the mean loss over the batch.
            seed: The run's seed.
            precision: bfloat16: the forward pass, and with it the backward pass, under autocast;
                parameters, gradients and the loss stay float32.
            accelerator: Where to compute; in place on the processor if not given.
        """
        self._flat = flat_model
        self._loss = loss
        self._seed = seed
        self._is_bfloat16 = precision == "bfloat16"
        self._accelerator = accelerator
        self._may_draw = may_draw(flat_model.model, loss)
        self._generators = generators_in(flat_model.model)
        # On the processor its own generator is enough: torch.manual_seed also takes note, with a
        # traceback, of what to seed if CUDA is ever used, for a hundred times as long.
        is_processor = flat_model.device.type == "cpu"
        self._seed_torch: Callable[[int], object] = (
            torch.default_generator.manual_seed if is_processor else torch.manual_seed
        )

    def compute(
        self,
        batches: Batches,
        worker: int,
        batch: int,
        parameters: Tensor,
        push: Tensor,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        may_write: bool = False,
    ) -> Gradient | None:
        """Compute the gradient of one batch.

        Args:
            batches: The worker's batches.
            worker: The worker's number; with `batch` it keys what the model draws (dropout).
            batch: The batch's number.
            parameters: Where to compute it, shape [size]; only read, unless `may_write`.
            push: Receives the gradient and, behind it, the buffers after the forward pass, shape
                [size].
            cancelled: Asked before the forward and before the backward pass.
            may_write: Whether the model may change `parameters`; see `FlatModel.load`.

        Returns:
            Loss and samples, or None where `cancelled` said so; `push` is then of no use.
        """
        there = self._accelerator
        if there is None:
            return self._compute(batches, worker, batch, parameters, push, cancelled, may_write)
        there.send(parameters)
        gradient = self._compute(
            batches, worker, batch, there.parameters, there.push, cancelled, may_write=True
        )
        if gradient is not None:
            there.fetch(push)
        there.wait()  # both vectors may be written again as soon as this returns
        return gradient

    def _compute(
        self,
        batches: Batches,
        worker: int,
        batch: int,
        parameters: Tensor,
        push: Tensor,
        cancelled: Callable[[], bool],
        may_write: bool,
    ) -> Gradient | None:
        of_batch = batches.get(batch)
        samples = num_samples(of_batch)
        if cancelled():
            return None
        self._flat.bind(parameters, push, may_write=may_write)
        self._prepare(worker, batch)
        try:
            with self._precision():
                loss: Tensor = self._flat.call(self._loss, of_batch)
        except Exception as error:
            if samples == 1:
                error.add_note(f"The batch has one sample; {ADVICE}.")
            raise
        if cancelled():
            return None
        loss.backward()  # type: ignore[no-untyped-call]
        gradient = self._flat.collect()
        # A sum is one pass; it is not finite either where finite elements overflow it.
        sums = (loss.detach().float(), gradient.sum())
        loss_value, total = torch.stack(sums).tolist()  # waits once for both
        is_finite = math.isfinite(total) or bool(gradient.isfinite().all())
        return Gradient(loss_value, samples, is_finite)

    def _precision(self) -> AbstractContextManager[object]:
        if self._is_bfloat16:
            return torch.autocast(self._flat.device.type, torch.bfloat16)
        return nullcontext()

    def _prepare(self, worker: int, batch: int) -> None:
        self._flat.zero_gradient()
        if not self._flat.model.training:
            self._flat.model.train()
        if self._may_draw:
            self._seed_torch(torch_seed(self._seed, "dropout", worker, batch))
        for number, generator in enumerate(self._generators):
            generator.manual_seed(torch_seed(self._seed, f"generator {number}", worker, batch))
