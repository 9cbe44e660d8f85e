"""The job's extra delays: which workers are delayed, and by how much per gradient."""

from hybridmpi.core.randomness import Draws, generator


class Delays:
    """A random extra wait per gradient, uniform, in a fixed fraction of the workers."""

    def __init__(self, seed: int, fraction: float, min_s: float, max_s: float) -> None:
        """Prepare delays.

        Args:
            seed: The run's seed; it chooses the workers and draws the waits.
            fraction: Fraction of the workers, 0 to 1; of 25 workers a half are 12 (rounded down).
            min_s: Shortest wait, seconds.
            max_s: Longest wait, seconds.
        """
        self._seed = seed
        self._fraction = fraction
        self._draws = Draws(seed, "delays", lambda rng, count: rng.uniform(min_s, max_s, count))

    def delayed_workers(self, num_workers: int) -> frozenset[int]:
        """Return the workers, out of 1..N, that are delayed."""
        count = int(self._fraction * num_workers)
        chosen = generator(self._seed, "delayed workers").permutation(num_workers)[:count]
        return frozenset(int(worker) + 1 for worker in chosen)

    def delay_s(self, worker: int, batch: int) -> float:
        """Return the wait, in seconds, behind a batch of a delayed worker."""
        return self._draws.get(worker, batch)
