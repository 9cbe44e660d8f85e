"""One step of the server: buffered gradients and a version's parameters make the next version."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hybridmpi.learning.flat import Layout
from hybridmpi.learning.optimizer import ServerOptimizer, aggregate, average_buffers


class Update:
    """Aggregates gradients, takes the optimizer's step, and averages the models' buffers."""

    def __init__(self, layout: Layout, optimizer: ServerOptimizer) -> None:
        self._layout = layout
        self._optimizer = optimizer
        self._aggregated = torch.empty(layout.num_parameters)

    def step(
        self,
        source: Tensor,
        target: Tensor,
        rows: Sequence[Tensor],
        weights: Sequence[float],
        samples: Sequence[int],
        learning_rate: float,
    ) -> None:
        """Write the next version to `target`.

        Args:
            source: The version in force, shape [size].
            target: Receives the next version, shape [size]; may be `source` itself.
            rows: The pushes' vectors in arrival order, each of shape [size]; clipping may change
                them.
            weights: The weight of each gradient in the aggregated one.
            samples: The batch size behind each row.
            learning_rate: For this step.
        """
        gradient = aggregate(rows, weights, self._aggregated)
        self._optimizer.step(source, target, gradient, learning_rate)
        average_buffers(self._layout, rows, samples, target)
