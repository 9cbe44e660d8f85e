"""Batches of one sample, which some models cannot take in training: batch normalization."""

from collections.abc import Sequence

import torch
from torch import nn

from hybridmpi.core.epoch import Epoch
from hybridmpi.errors import UserError

ADVICE = "data.last_batch = 'spread' or 'drop' makes no such batch of a larger data.batch_size"


def check_single_sample(
    model: nn.Module, input_shape: tuple[int, int, int], epochs: Sequence[Epoch]
) -> None:
    """Try one sample in training mode, where some worker will have a batch of one.

    Args:
        model: The model; its parameters and buffers stay as they are.
        input_shape: Channels, height and width of one sample.
        epochs: How the shards of the workers 1..N are cut into batches.

    Raises:
        UserError: If the model can't take it.
    """
    worker = next((w for w, epoch in enumerate(epochs, start=1) if epoch.smallest == 1), None)
    if worker is None:
        return
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            sample = torch.zeros(1, *input_shape, device=next(model.parameters()).device)
            torch.func.functional_call(model.train(), copies, (sample,))
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
