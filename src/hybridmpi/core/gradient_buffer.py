"""The gradient buffer: pushes that have arrived and are not yet in a step."""

from hybridmpi.core.messages import Push


class GradientBuffer:
    """Buffered pushes with their staleness, in arrival order."""

    def __init__(self) -> None:
        self._pushes: list[Push] = []
        self._staleness: list[int] = []

    def __len__(self) -> int:
        return len(self._pushes)

    def add(self, push: Push, staleness: int) -> None:
        """Append a push."""
        self._pushes.append(push)
        self._staleness.append(staleness)

    def drain(self) -> tuple[tuple[Push, ...], tuple[int, ...]]:
        """Empty the buffer and return its pushes and their staleness."""
        drained = tuple(self._pushes), tuple(self._staleness)
        self._pushes.clear()
        self._staleness.clear()
        return drained
