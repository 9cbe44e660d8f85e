"""A worker's mini-batches: the n-th one is a function of n, whatever was asked for before."""

import torch
from torch import Tensor

from hybridmpi.core.epoch import Epoch, LastBatch
from hybridmpi.core.randomness import generator, torch_seed
from hybridmpi.learning.nests import Nest, map_leaves
from hybridmpi.learning.samples import AnySamples, seed_generators


class Batches:
    """The mini-batches of one worker, drawn from its shard.

    Each epoch passes over the shard once, in an order keyed by (seed, "batches", worker, epoch).
    Samples are only read, and may be shared.

    Args:
        samples: What the worker's samples are among. If they change batches at random, their draws
            are keyed by (seed, "augmentation", worker, n); if loading them draws from global
            generators, these are seeded by (seed, "samples", worker, n).
        shard: Which of these samples are the worker's, int64, [shard size]; all if not given.
        batch_size: Samples in a batch, at least 1.
        last_batch: What happens to those that don't fill a batch; see `Epoch`.
        seed: The run's seed.
        worker: The worker's number.
        device: Where batches go.
    """

    def __init__(
        self,
        samples: AnySamples,
        shard: Tensor | None = None,
        *,
        batch_size: int,
        last_batch: LastBatch = "spread",
        seed: int,
        worker: int,
        device: torch.device | None = None,
    ) -> None:
        self._samples = samples
        self._shard = torch.arange(len(samples)) if shard is None else shard
        self._cut = Epoch(len(self._shard), batch_size, last_batch)
        self._seed = seed
        self._worker = worker
        self._augment = getattr(samples, "augment", None)
        self._prepare = getattr(samples, "prepare", None)
        self._device = device if device is not None and device.type != "cpu" else None
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def get(self, n: int) -> Nest:
        """Return the worker's n-th batch, counted from 0, in memory of its own."""
        epoch, position = divmod(n, self._cut.batches)
        start, end = self._cut.start(position), self._cut.start(position + 1)
        chosen = self._epoch_order(epoch)[start:end]
        if self._samples.draws:
            seed_generators(torch_seed(self._seed, "samples", self._worker, n))
        batch = self._samples.take(chosen)
        if self._augment is not None:
            batch = self._augment(batch, generator(self._seed, "augmentation", self._worker, n))
        batch = on_device(batch, self._device)
        return batch if self._prepare is None else self._prepare(batch)

    def _epoch_order(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            rng = generator(self._seed, "batches", self._worker, epoch)
            self._order = self._shard[torch.from_numpy(rng.permutation(len(self._shard)))]
            self._epoch = epoch
        return self._order


def on_device(batch: Nest, device: torch.device | None) -> Nest:
    """Return a batch on a device; None for the processor, where it is."""
    return batch if device is None else map_leaves(lambda leaf: leaf.to(device), batch)
