"""A problem's metrics, of one version's parameters on a set of samples."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybridmpi.core.randomness import torch_seed
from hybridmpi.learning.batches import on_device
from hybridmpi.learning.flat import FlatModel
from hybridmpi.learning.nests import map_leaves
from hybridmpi.learning.problem import LOSS, Problem
from hybridmpi.learning.samples import AnySamples, seed_generators

_ROOM_BYTES = 64 << 20  # for the activations of a batch
_LARGEST_BATCH = 200  # more samples are slower: their activations don't fit a processor's caches


def evaluation_batch_size(bytes_per_sample: int) -> int:
    """Return how many samples to evaluate at a time: as many as fit 64 MiB, and 200 at most.

    Args:
        bytes_per_sample: Of the activations; see `learning.activations`.
    """
    return max(1, min(_LARGEST_BATCH, _ROOM_BYTES // max(1, bytes_per_sample)))


def evaluate(
    flat_model: FlatModel,
    problem: Problem,
    parameters: Tensor,
    samples: AnySamples,
    *,
    batch_size: int = _LARGEST_BATCH,
    only: Collection[str] | None = None,
) -> dict[str, float]:
    """Evaluate parameters on all samples.

    Args:
        flat_model: The model; each of its modules keeps its mode, training or evaluation. What it
            does to its parameters, its buffers or its inputs ends with each batch.
        problem: Whose loss and metrics are evaluated.
        parameters: The parameters and buffers to evaluate, shape [size]; only read. They, and the
            samples batch by batch, are copied to where the model is.
        samples: The samples.
        batch_size: The most samples per forward pass; the passes are of equal sizes, or differ by
            one. It bounds the memory, and changes the result by rounding only.
        only: Names of the metrics that are wanted; all if not given.

    Returns:
        The problem's metrics by name, and the loss as "loss": means over all samples, transformed
        where the metric says so. They are nan or inf for a model that has diverged.
    """
    functions = _functions(problem, only)
    sums = {name: 0.0 for _, names in functions for name in names}
    device = flat_model.device
    parameters = parameters.to(device)
    # Not in inference mode: a tensor that a model keeps from there would be of no use in training.
    with _evaluating(flat_model.model), torch.no_grad(), torch.random.fork_rng(devices=[]):
        seed = torch_seed(0, "evaluation")  # for models and samples that draw here, too
        seed_generators(seed) if samples.draws else torch.manual_seed(seed)
        for indices in torch.arange(len(samples)).tensor_split(-(-len(samples) // batch_size)):
            batch = on_device(samples.take(indices), device)
            if (prepare := getattr(samples, "prepare", None)) is not None:
                batch = prepare(batch)
            for number, (function, names) in enumerate(functions, start=1):
                # What a function does to its batch is not for the next one to see.
                own = batch if number == len(functions) else map_leaves(torch.clone, batch)
                flat_model.load(parameters)
                measured = flat_model.call(function, own)
                for name in names:
                    value = measured[name] if isinstance(measured, Mapping) else measured
                    sums[name] += _sum(value, len(indices))
        found = {name: total / len(samples) for name, total in sums.items()}
        for name, metric in problem.metrics.items():
            if name in found and metric.transform is not None:
                found[name] = _transformed(metric.transform, found[name])
            elif metric.per == "model" and (only is None or name in only):
                flat_model.load(parameters)
                found[name] = float(flat_model.call(metric.function))
    return found


def _functions(
    problem: Problem, only: Collection[str] | None
) -> list[tuple[Callable[..., Any], list[str]]]:
    functions = {
        function: [name for name in names if only is None or name in only]
        for function, names in problem.per_sample().items()
    }
    if LOSS not in problem.metrics:
        functions.setdefault(problem.loss, []).append(LOSS)
    return [(function, names) for function, names in functions.items() if names]


def _sum(value: Tensor, count: int) -> float:
    """Return the sum over a batch of one number per sample, or of their mean."""
    if value.dim() == 0:
        return value.item() * count
    # A loss of torch's adds up in this order, which differs from Tensor.sum's in the last bits.
    column = value.detach().double().neg().unsqueeze(1)
    return functional.nll_loss(
        column, torch.zeros(count, dtype=torch.int64, device=value.device), reduction="sum"
    ).item()


def _transformed(transform: Callable[[float], float], mean: float) -> float:
    try:
        return float(transform(mean))
    except OverflowError:  # the exponential of a large loss
        return float("inf")
    except ValueError:  # the root of a negative number
        return float("nan")


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
