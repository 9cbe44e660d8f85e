"""How much memory a model's activations take, from the shapes alone."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hybridmpi.learning.nests import map_leaves, num_samples
from hybridmpi.learning.problem import Batch, Problem

TRIED = 2  # samples


class ActivationBytes(NamedTuple):
    """The most memory that a batch takes at a time, input included, in bytes per sample."""

    evaluation: int
    training: int  # forward and backward, without the parameters' gradients


class _Allocations(TorchDispatchMode):
    """Adds up what is allocated within it and not yet freed; `peak` is the most at a time.

    Scratch memory within one operation is not seen.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak: int = 0
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Have torch not import its compiler, which takes as long as importing torch itself."""
        return False

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        del types
        result = operation(*args, **(kwargs or {}))
        self._live = {
            key: kept
            for key, kept in self._live.items()
            if not kept[0].expired()  # type: ignore[no-untyped-call]
        }
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self._live.setdefault(reference.cdata, (reference, storage.nbytes()))
        self.peak = max(self.peak, sum(size for _, size in self._live.values()))
        return result


def activation_bytes(problem: Problem, model: nn.Module, examples: Batch) -> ActivationBytes:
    """Try a batch of two samples on a copy of the model.

    Args:
        problem: Whose loss and metrics are computed.
        model: The model; it stays as it is.
        examples: A batch as the model is given it, of at least one sample.

    Returns:
        Bytes per sample; 0 for what cannot be tried that way.
    """
    numbers = torch.arange(TRIED) % num_samples(examples)
    batch = map_leaves(lambda leaf: leaf[numbers.to(leaf.device)], examples)

    def train(copied: nn.Module, samples: Batch) -> None:
        problem.loss(copied.train(), samples).backward()  # type: ignore[no-untyped-call]

    def evaluate(copied: nn.Module, samples: Batch) -> None:
        copied.eval()
        with torch.inference_mode():
            for function in problem.per_sample() or [problem.loss]:
                function(copied, samples)

    gradient = sum(4 * each.numel() for each in model.parameters() if each.requires_grad)
    return ActivationBytes(
        evaluation=_peak(model, batch, evaluate) // TRIED,
        training=max(0, _peak(model, batch, train) - gradient) // TRIED,
    )


def _peak(model: nn.Module, batch: Batch, turn: Callable[[nn.Module, Batch], None]) -> int:
    try:
        copied = copy.deepcopy(model)
        with torch.random.fork_rng(devices=[]), _Allocations() as allocations:
            turn(copied, map_leaves(torch.clone, batch))
    except Exception:  # that the model works has been seen, but it may not like to be copied
        return 0
    peak: int = allocations.peak
    return peak
