"""Batches of one sample, which some models cannot take in training: batch normalization."""

from collections.abc import Sequence

import torch
from torch import nn

from hybridmpi.core.epoch import Epoch
from hybridmpi.errors import UserError
from hybridmpi.learning.nests import map_leaves
from hybridmpi.learning.problem import Batch, Problem
from hybridmpi.learning.trial import buffers_kept

ADVICE = "data.last_batch = 'spread' or 'drop' makes no such batch of a larger data.batch_size"


def check_single_sample(
    problem: Problem, model: nn.Module, examples: Batch, epochs: Sequence[Epoch]
) -> None:
    """Try one sample in training mode, where some worker will have a batch of one.

    Args:
        problem: Whose loss is computed.
        model: The model; its parameters and buffers stay as they are.
        examples: A batch as the model is given it, of at least one sample.
        epochs: How the shards of the workers 1..N are cut into batches.

    Raises:
        UserError: If the model can't take it.
    """
    worker = next((w for w, epoch in enumerate(epochs, start=1) if epoch.smallest == 1), None)
    if worker is None:
        return
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), buffers_kept(model):
            problem.loss(model.train(), map_leaves(lambda leaf: leaf[:1].clone(), examples))
    except Exception as error:  # models refuse inputs in many ways
        epoch = epochs[worker - 1]
        cause = "data.batch_size is 1"
        if epoch.batch_size > 1:
            cause = (
                f"data.last_batch = '{epoch.last_batch}' leaves worker {worker} one, of "
                f"{epoch.shard_size} samples in batches of {epoch.batch_size}"
            )
        raise UserError(
            "the model can't take a batch of one sample in training "
            f"({type(error).__name__}: {error}), but {cause}; {ADVICE}"
        ) from error
