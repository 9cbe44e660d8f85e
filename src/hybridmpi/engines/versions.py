"""The parameters of the versions that somebody still needs, each kept once."""

from collections import Counter

import torch
from torch import Tensor


class Versions:
    """Keeps each version once, however many workers hold it, while any does, and the newest."""

    def __init__(self, initial: Tensor) -> None:
        """Begin with the initial parameters, shape [size]."""
        self._vectors = {0: initial}
        self._holders: Counter[int] = Counter()
        self._newest = 0
        self._next = initial
        self._free: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._vectors)

    def __getitem__(self, version: int) -> Tensor:
        """Return the parameters of a version that is held, or the newest; shape [size]."""
        return self._vectors[version]

    @property
    def newest(self) -> Tensor:
        """The parameters of the newest version, shape [size]."""
        return self._vectors[self._newest]

    def hold(self, version: int) -> None:
        """Keep a version until it is let go once more."""
        self._holders[version] += 1

    def let_go(self, version: int) -> None:
        """Take back one `hold`."""
        self._holders[version] -= 1
        self._drop_unheld(version)

    def next_vector(self) -> Tensor:
        """Return where to write the next version: the newest itself if nobody holds it."""
        if not self._holders[self._newest]:
            self._next = self.newest
        else:
            self._next = self._free.pop() if self._free else torch.empty_like(self.newest)
        return self._next

    def publish(self, version: int) -> None:
        """Make what was written to `next_vector` the newest version."""
        before, self._newest = self._newest, version
        if self._next is self._vectors[before]:
            del self._vectors[before]
        self._vectors[version] = self._next
        self._drop_unheld(before)

    def _drop_unheld(self, version: int) -> None:
        if self._holders[version]:
            return
        del self._holders[version]
        if version != self._newest and version in self._vectors:
            self._free.append(self._vectors.pop(version))
