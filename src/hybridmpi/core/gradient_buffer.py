"""The gradient buffer: pushes that have arrived and are not yet in a step."""

from collections.abc import Sequence
from typing import Self

from hybridmpi.core.messages import Push


class GradientBuffer:
    """Buffered pushes in arrival order, each with its staleness and its weight in their sum.

    Attributes:
        pushes: The pushes.
        staleness: The staleness of each when it arrived.
        weights: The weight of each in the accumulated gradient.
    """

    def __init__(self) -> None:
        self.pushes: list[Push] = []
        self.staleness: list[int] = []
        self.weights: list[float] = []

    @classmethod
    def of(cls, pushes: Sequence[Push], staleness: Sequence[int], weights: Sequence[float]) -> Self:
        """Return a buffer that holds this already."""
        buffer = cls()
        buffer.pushes, buffer.staleness = list(pushes), list(staleness)
        buffer.weights = list(weights)
        return buffer

    def __len__(self) -> int:
        return len(self.pushes)

    def add(self, push: Push, staleness: int, damping: float) -> float:
        """Append a push and return its weight in the accumulated gradient.

        A gradient is the mean over its own samples, so that it weighs its samples; these are
        counted in multiples of the first push's, so that equal batches weigh exactly 1.

        Args:
            push: The push.
            staleness: Its staleness.
            damping: The factor of its gradient for that staleness.
        """
        first = self.pushes[0] if self.pushes else push
        weight = damping * (push.samples / first.samples)
        self.pushes.append(push)
        self.staleness.append(staleness)
        self.weights.append(weight)
        return weight

    def clear(self) -> None:
        """Empty the buffer."""
        self.pushes, self.staleness, self.weights = [], [], []
