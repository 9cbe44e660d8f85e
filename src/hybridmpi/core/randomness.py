"""Keyed randomness: every draw is a function of (seed, purpose, worker, n).

Nothing is consumed from a shared stream, so no draw depends on the order in which gradients
arrive: two methods with one seed face the same batches, compute times and delays.
"""

import zlib

import numpy as np


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
