"""Loss and accuracy of one version's parameters on a set of samples."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybridmpi.core.randomness import torch_seed
from hybridmpi.learning.batches import normalise
from hybridmpi.learning.flat import FlatModel

_ROOM_BYTES = 64 << 20  # for the activations of a batch
_LARGEST_BATCH = 200  # more samples are slower: their activations don't fit a processor's caches


class Evaluation(NamedTuple):
    """How good a model is on a set of samples."""

    loss: float  # mean cross-entropy; nan or inf for a model that has diverged
    accuracy: float  # fraction of samples whose label has the largest output, 0..1


def evaluation_batch_size(bytes_per_sample: int) -> int:
    """Return how many samples to evaluate at a time: as many as fit 64 MiB, and 200 at most.

    Args:
        bytes_per_sample: Of the activations; see `learning.activations`.
    """
    return max(1, min(_LARGEST_BATCH, _ROOM_BYTES // max(1, bytes_per_sample)))


def evaluate(
    flat_model: FlatModel,
    parameters: Tensor,
    inputs: Tensor,
    labels: Tensor,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    batch_size: int = _LARGEST_BATCH,
) -> Evaluation:
    """Evaluate parameters on all samples.

    Args:
        flat_model: The model; each of its modules keeps its mode, training or evaluation. What it
            does to its parameters, its buffers or its inputs ends with each batch.
        parameters: The parameters and buffers to evaluate, shape [size]; only read. They, and the
            samples batch by batch, are copied to where the model is.
        inputs: The samples, uint8 or float32, shape [samples, C, H, W].
        labels: The classes, shape [samples].
        mean: Per channel, see `normalise`.
        std: Per channel, see `normalise`.
        batch_size: The most samples per forward pass; the passes are of equal sizes, or differ by
            one. It bounds the memory, and changes the result by rounding only.
    """
    loss_sum, correct = 0.0, 0
    device = flat_model.device
    parameters = parameters.to(device)
    passes = -(-len(labels) // batch_size)
    parts = zip(inputs.tensor_split(passes), labels.tensor_split(passes), strict=True)
    # Not in inference mode: a tensor that a model keeps from there would be of no use in training.
    with _evaluating(flat_model.model), torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(0, "evaluation"))  # for models that draw here, too
        for samples, part in parts:
            flat_model.load(parameters)
            output = flat_model.forward(_own_batch(samples, device, mean, std))
            classes = part.to(device)
            loss = functional.cross_entropy(output.double(), classes, reduction="sum")
            loss_sum += loss.item()
            correct += int((output.argmax(1) == classes).sum())
    return Evaluation(loss_sum / len(labels), correct / len(labels))


def _own_batch(
    stored: Tensor,
    device: torch.device,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> Tensor:
    """Return stored samples as a model is given them, in memory that it may change."""
    batch = normalise(stored.to(device), mean, std)
    return batch.clone() if batch is stored else batch


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
