"""The parameters of the versions that somebody still needs, each kept once."""

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor


class Versions:
    """Keeps each version once, however many workers hold it, while any does, and the newest.

    Attributes:
        newest: The parameters of the newest version, shape [size].
    """

    def __init__(self, initial: Tensor) -> None:
        """Begin with the initial parameters, shape [size]."""
        self.newest = initial
        self._newest_version = 0
        self._vectors = {0: initial}
        self._holders: defaultdict[int, int] = defaultdict(int)  # of versions that are held
        self._next = initial
        self._free: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._vectors)

    def __getitem__(self, version: int) -> Tensor:
        """Return the parameters of a version that is held, or the newest; shape [size]."""
        return self._vectors[version]

    def vectors(self) -> dict[int, Tensor]:
        """Return the parameters of the versions that are held, and of the newest."""
        return dict(self._vectors)

    def resume(self, vectors: Mapping[int, Tensor], newest: int) -> None:
        """Go on with these; who holds them is still to be told by `hold`."""
        self._vectors = dict(vectors)
        self._newest_version, self.newest = newest, self._vectors[newest]

    def hold(self, version: int, holders: int = 1) -> None:
        """Keep a version until so many holders, at least one, have let it go."""
        self._holders[version] += holders

    def let_go(self, version: int) -> None:
        """Take back one holder."""
        self._holders[version] -= 1
        if not self._holders[version]:
            del self._holders[version]
            if version != self._newest_version and version in self._vectors:
                self._free.append(self._vectors.pop(version))

    def next_vector(self) -> Tensor:
        """Return where to write the next version: the newest itself if nobody holds it."""
        if self._newest_version not in self._holders:
            self._next = self.newest
        else:
            self._next = self._free.pop() if self._free else torch.empty_like(self.newest)
        return self._next

    def publish(self, version: int) -> None:
        """Make what was written to `next_vector` the newest version."""
        if self._newest_version not in self._holders:
            unheld = self._vectors.pop(self._newest_version)
            if unheld is not self._next:
                self._free.append(unheld)
        self._newest_version, self.newest = version, self._next
        self._vectors[version] = self._next
