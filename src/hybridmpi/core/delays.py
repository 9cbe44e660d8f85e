"""The job's extra delays: which workers are delayed, and by how much per gradient."""

from dataclasses import dataclass

from hybridmpi.core.randomness import generator


@dataclass(frozen=True, slots=True)
class Delays:
    """A random extra wait per gradient, uniform, in a fixed fraction of the workers.

    Attributes:
        seed: The run's seed; it chooses the workers and draws the waits.
        fraction: Fraction of the workers, 0 to 1; of 25 workers a half are 12 (rounded down).
        min_s: Shortest wait, seconds.
        max_s: Longest wait, seconds.
    """

    seed: int
    fraction: float
    min_s: float
    max_s: float

    def delayed_workers(self, num_workers: int) -> frozenset[int]:
        """Return the workers, out of 1..N, that are delayed."""
        count = int(self.fraction * num_workers)
        chosen = generator(self.seed, "delayed workers").permutation(num_workers)[:count]
        return frozenset(int(worker) + 1 for worker in chosen)

    def delay_s(self, worker: int, batch: int) -> float:
        """Return the wait, in seconds, behind a batch of a delayed worker."""
        return float(generator(self.seed, "delays", worker, batch).uniform(self.min_s, self.max_s))
