"""A value over the whole run so far, in a few characters."""

from statistics import fmean

_BLOCKS = "▁▂▃▄▅▆▇█"


class History:
    """Keeps at most `capacity` values of a run of any length: each the mean of equally many."""

    def __init__(self, capacity: int) -> None:
        self.values: list[float] = []
        self._capacity = capacity
        self._per_value = 1
        self._pending: list[float] = []

    def add(self, value: float) -> None:
        """Add the next value."""
        if len(self.values) == self._capacity:
            self.values = [fmean(self.values[i : i + 2]) for i in range(0, self._capacity, 2)]
            self._per_value *= 2
        self._pending.append(value)
        if len(self._pending) == self._per_value:
            self.values.append(fmean(self._pending))
            self._pending.clear()


def sparkline(values: list[float]) -> str:
    """Draw values as blocks of eight heights, from the least to the largest."""
    if not values:
        return ""
    least, largest = min(values), max(values)
    scale = (len(_BLOCKS) - 1) / (largest - least) if largest > least else 0.0
    return "".join(_BLOCKS[round((value - least) * scale)] for value in values)
