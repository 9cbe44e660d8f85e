"""Keyed randomness: every draw is a function of (seed, purpose, worker, n).

Nothing is consumed from a shared stream, so no draw depends on the order in which gradients
arrive: two methods with one seed face the same batches, compute times and delays.
"""

import zlib
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64  # numbers that `Draws` makes at a time


def _sequence(seed: int, purpose: str, worker: int, n: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(zlib.crc32(purpose.encode()), worker, n))


def generator(seed: int, purpose: str, worker: int = 0, n: int = 0) -> np.random.Generator:
    """Return a fresh generator for one draw (or one batch of draws).

    Args:
        seed: The run's seed, at least 0.
        purpose: What is drawn, for example "batches"; different purposes are independent.
        worker: The worker's number, 0 where the draw belongs to no worker.
        n: The worker's counter: batch, epoch.

    Returns:
        A numpy Generator (Philox) in a state that depends on the four arguments alone.
    """
    return np.random.Generator(np.random.Philox(_sequence(seed, purpose, worker, n)))


def torch_seed(seed: int, purpose: str, worker: int = 0, n: int = 0) -> int:
    """Return a seed for `torch.manual_seed` that depends on the four arguments alone."""
    return int(_sequence(seed, purpose, worker, n).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Draws:
    """One number per (worker, n), made in blocks of n.

    Like every draw, a number depends on (seed, purpose, worker, n) alone. A generator of its own
    for each block would take 20 microseconds; so one Philox is moved to the worker's key and the
    block's counter (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
    """

    def __init__(
        self, seed: int, purpose: str, draw: Callable[[np.random.Generator, int], NDArray[Any]]
    ) -> None:
        """Prepare draws.

        Args:
            seed: The run's seed.
            purpose: What is drawn.
            draw: Draws as many numbers as it is told from a generator.
        """
        self._draw = draw
        self._philox = np.random.Philox(_sequence(seed, purpose, 0, 0))
        self._generator = np.random.Generator(self._philox)
        self._state: Any = self._philox.state
        self._key = int(self._state["state"]["key"][0])
        self._blocks: dict[int, tuple[int, array[float]]] = {}  # worker: its last block

    def get(self, worker: int, n: int) -> float:
        """Return the n-th number of a worker."""
        number, position = divmod(n, _BLOCK)
        block = self._blocks.get(worker)
        if block is None or block[0] != number:
            self._state["state"] = {
                "key": np.array([self._key, worker], np.uint64),
                "counter": np.array([0, 0, number, 0], np.uint64),
            }
            self._philox.state = self._state
            # Not a list: its numbers would lie scattered in memory, at a quarter of the density.
            drawn = array("d", self._draw(self._generator, _BLOCK).tobytes())
            block = self._blocks[worker] = number, drawn
        return block[1][position]
