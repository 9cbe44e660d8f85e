"""One step of the server: gradients add up, and make the next version of the parameters."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from hybridmpi.learning.flat import Layout
from hybridmpi.learning.optimizer import ServerOptimizer

_PART = 1 << 17  # elements; half a MiB stays in a core's cache while rows are added to it


class Update:
    """Accumulates gradients, takes the optimizer's step, and averages the models' buffers.

    Gradients are added up in the order in which they came, part of the vectors by part, so that
    many at a time take one pass through memory: the same bits as one after the other.

    Buffers are statistics, so they become their mean, weighted by samples, however gradients are
    aggregated. It is taken in float64: a buffer that all workers agree on stays exactly as it is.
    Integers are rounded.
    """

    def __init__(self, layout: Layout, optimizer: ServerOptimizer) -> None:
        self._layout = layout
        self._optimizer = optimizer
        self._rows: list[tuple[Tensor, float]] = []  # to be added up in the first, and weights
        size = layout.num_parameters
        self._parts = [slice(i, min(i + _PART, size)) for i in range(0, size, _PART)]
        self._buffers = torch.zeros(layout.size - layout.num_parameters, dtype=torch.float64)
        self._samples = 0

    def accumulate(self, row: Tensor, weight: float, samples: int) -> bool:
        """Take a gradient to be added up with its weight, and add its buffers to their sum.

        Args:
            row: A push's vector, shape [size]; to be left alone up to the next `fold` or `step`.
                The first one since the last step becomes the accumulated gradient, and is to be
                left alone up to the step.
            weight: Of the gradient.
            samples: The batch size behind it.

        Returns:
            Whether it was the first.
        """
        if self._layout.buffers:
            self._buffers.add_(row[self._layout.num_parameters :], alpha=samples)
            self._samples += samples
        self._rows.append((row, weight))
        return len(self._rows) == 1

    def fold(self) -> None:
        """Add up what has been accumulated, in the first row."""
        for part in self._passes():
            self._add_up(part)
        self._rows = [(row, 1.0) for row, _ in self._rows[:1]]

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
        if not self._rows:
            raise ValueError("no gradient to step with; accumulate one first")
        gradient = self._rows[0][0]
        if self._optimizer.is_plain_sgd:
            for part in self._passes():
                self._add_up(part)
                self._optimizer.step(
                    source[part], target[part], gradient[part], scale, learning_rate
                )
        else:
            self.fold()
            self._optimizer.step(source, target, gradient, scale, learning_rate)
        self._rows.clear()
        if self._layout.buffers:
            self._write_buffers(target)

    def state(self) -> dict[str, Tensor]:
        """Return what has been accumulated and the optimizer's state, by name; not copied."""
        state = {f"optimizer.{name}": value for name, value in self._optimizer.state().items()}
        if self._rows:
            self.fold()
            state["accumulated"] = self._rows[0][0]
        if self._layout.buffers:
            state["buffer_sums"] = self._buffers
            state["buffer_samples"] = torch.tensor(self._samples)
        return state

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another update was whose `state` this is; the tensors become ours.

        Raises:
            KeyError: If it was one of another model; so with ValueError.
        """
        prefix = "optimizer."
        self._optimizer.resume(
            {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        )
        self._rows = [(state["accumulated"], 1.0)] if "accumulated" in state else []
        if self._layout.buffers:
            sums = state["buffer_sums"]
            if sums.shape != self._buffers.shape or sums.dtype != self._buffers.dtype:
                raise ValueError(f"buffer_sums are {sums.dtype} of shape {list(sums.shape)}")
            self._buffers, self._samples = sums, int(state["buffer_samples"])

    def _passes(self) -> Iterable[slice]:
        """Return the parts to go through: all at once where there is nothing to add."""
        return self._parts if len(self._rows) > 1 else [slice(0, self._layout.num_parameters)]

    def _add_up(self, part: slice) -> None:
        (first, weight), *others = self._rows
        total = first[part]
        if weight != 1.0:
            total.mul_(weight)
        for row, weight in others:
            total.add_(row[part], alpha=weight)

    def _write_buffers(self, target: Tensor) -> None:
        target[self._layout.num_parameters :] = self._buffers / self._samples
        for entry in self._layout.buffers:
            if not entry.dtype.startswith("float"):
                entry.view(target).round_()
        self._buffers.zero_()
        self._samples = 0


class NoUpdate:
    """Stands in for `Update` where nothing is learned: all vectors stay as they are."""

    def state(self) -> dict[str, Tensor]:
        """Return nothing."""
        return {}

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Do nothing."""

    def accumulate(self, row: Tensor, weight: float, samples: int) -> None:
        """Do nothing."""

    def fold(self) -> None:
        """Do nothing."""

    def step(self, source: Tensor, target: Tensor, scale: float, learning_rate: float) -> None:
        """Do nothing."""
