"""How an epoch of a worker's shard is cut into batches."""

from dataclasses import dataclass
from typing import Literal

LastBatch = Literal["spread", "keep", "drop"]


@dataclass(frozen=True)
class Epoch:
    """One pass over a shard, in batches.

    Args:
        shard_size: Samples of the shard.
        batch_size: Samples that a batch is to have, at least 1.
        last_batch: What happens to the samples that are left where the shard's size is no multiple
            of the batch size. "spread" deals them out to the other batches, so that all have
            `batch_size` samples or a few more, and differ by one at most; "keep" makes a short last
            batch of them; "drop" leaves them out of this epoch. A shard that is smaller than a
            batch is one batch.
    """

    shard_size: int
    batch_size: int
    last_batch: LastBatch = "spread"

    @property
    def batches(self) -> int:
        """How many batches there are, at least 1."""
        full, left = divmod(self.shard_size, self.batch_size)
        return max(1, full + (self.last_batch == "keep" and left > 0))

    def start(self, position: int) -> int:
        """Return how many samples come before a batch; `batches` as position gives the total."""
        if self.last_batch == "spread":
            size, larger = divmod(self.shard_size, self.batches)
            return position * size + min(position, larger)
        return min(position * self.batch_size, self.shard_size)

    def samples(self, position: int) -> int:
        """Return the size of a batch."""
        return self.start(position + 1) - self.start(position)

    @property
    def smallest(self) -> int:
        """Samples of the smallest batch."""
        return self.samples(self.batches - 1)

    @property
    def largest(self) -> int:
        """Samples of the largest batch."""
        return self.samples(0)
