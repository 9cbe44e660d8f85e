"""One step of the server: gradients add up, and make the next version of the parameters."""

import torch
from torch import Tensor

from hybridmpi.learning.flat import Layout
from hybridmpi.learning.optimizer import ServerOptimizer


class Update:
    """Accumulates gradients, takes the optimizer's step, and averages the models' buffers.

    Buffers are statistics, so they become their mean, weighted by samples, however gradients are
    aggregated. It is taken in float64: a buffer that all workers agree on stays exactly as it is.
    Integers are rounded.
    """

    def __init__(self, layout: Layout, optimizer: ServerOptimizer) -> None:
        self._layout = layout
        self._optimizer = optimizer
        self._accumulated: Tensor | None = None
        self._buffers = torch.zeros(layout.size - layout.num_parameters, dtype=torch.float64)
        self._samples = 0

    def accumulate(self, row: Tensor, weight: float, samples: int) -> bool:
        """Add weight x a gradient to the accumulated one, and its buffers to their sum.

        Args:
            row: A push's vector, shape [size]. The first one since the last step becomes the
                accumulated gradient, and must be left alone up to the step.
            weight: Of the gradient.
            samples: The batch size behind it.

        Returns:
            Whether it was the first.
        """
        if self._layout.buffers:
            self._buffers.add_(row[self._layout.num_parameters :], alpha=samples)
            self._samples += samples
        if self._accumulated is not None:
            self._accumulated.add_(row, alpha=weight)
            return False
        self._accumulated = row
        if weight != 1.0:
            row.mul_(weight)
        return True

    def step(self, source: Tensor, target: Tensor, scale: float, learning_rate: float) -> None:
        """Write the next version to `target`, and begin to accumulate anew.

        Args:
            source: The version in force, shape [size].
            target: Receives the next version, shape [size]; may be `source` itself.
            scale: The factor that makes the accumulated gradient the aggregated one.
            learning_rate: For this step.

        Raises:
            ValueError: If nothing has been accumulated.
        """
        if self._accumulated is None:
            raise ValueError("no gradient to step with; accumulate one first")
        self._optimizer.step(source, target, self._accumulated, scale, learning_rate)
        self._accumulated = None
        if self._layout.buffers:
            self._write_buffers(target)

    def _write_buffers(self, target: Tensor) -> None:
        target[self._layout.num_parameters :] = self._buffers / self._samples
        for entry in self._layout.buffers:
            if not entry.dtype.startswith("float"):
                entry.view(target).round_()
        self._buffers.zero_()
        self._samples = 0


class NoUpdate:
    """Stands in for `Update` where nothing is learned: it knows a step's first push, no more."""

    def __init__(self) -> None:
        self._has_first = False

    def accumulate(self, row: Tensor, weight: float, samples: int) -> bool:
        """Say whether this push is the first since the last step."""
        del row, weight, samples
        is_first, self._has_first = not self._has_first, True
        return is_first

    def step(self, source: Tensor, target: Tensor, scale: float, learning_rate: float) -> None:
        """Begin anew; the vectors stay as they are."""
        del source, target, scale, learning_rate
        self._has_first = False
