"""Nests of tensors, which batches are: a tensor, or a tuple, list or dict of nests."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from hybridmpi.errors import UserError

Nest = Any  # a tensor, or a tuple, named tuple, list or mapping of nests


def map_leaves(function: Callable[[Any], Any], nest: Nest) -> Nest:
    """Return a nest of the same form, with the function's value in place of each leaf."""
    if isinstance(nest, Tensor):
        return function(nest)
    if isinstance(nest, tuple):
        parts = [map_leaves(function, part) for part in nest]
        return type(nest)(*parts) if hasattr(nest, "_fields") else tuple(parts)
    if isinstance(nest, list):
        return [map_leaves(function, part) for part in nest]
    if isinstance(nest, Mapping):
        return {key: map_leaves(function, part) for key, part in nest.items()}
    return function(nest)


def leaves(nest: Nest) -> list[Any]:
    """Return the leaves of a nest, in order."""
    found: list[Any] = []
    map_leaves(found.append, nest)
    return found


def with_leaves(nest: Nest, new: Iterator[Any]) -> Nest:
    """Return a nest of the same form with these leaves, in order."""
    return map_leaves(lambda _: next(new), nest)


def num_samples(batch: Nest) -> int:
    """Return the length of a batch, that of its first leaf."""
    while not isinstance(batch, Tensor):
        batch = next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0]
    return len(batch)


def check_batch(batch: Nest, count: int, what: str) -> None:
    """Check that a batch is a nest of tensors, each with one row per sample.

    Args:
        batch: What is to be one.
        count: How many samples it is to have.
        what: What made it, for messages.

    Raises:
        UserError: If it isn't.
    """
    found = leaves(batch)
    if not found:
        raise UserError(f"{what} gave a batch without tensors; give a tensor, or a nest of them")
    for leaf in found:
        if not isinstance(leaf, Tensor):
            raise UserError(
                f"{what} gave a batch that holds {type(leaf).__name__}, but may hold tensors only, "
                "in tuples, lists and dicts; have the collate function turn it into a tensor"
            )
    if any(leaf.dim() == 0 or len(leaf) != count for leaf in found):
        raise UserError(
            f"{what} gave a batch of {count} samples whose leaves have shapes {shapes(batch)}; the "
            "first dimension of each leaf must be the samples"
        )


def shapes(nest: Nest) -> str:
    """Write the shapes of a nest's tensors."""
    shown = map_leaves(lambda leaf: list(leaf.shape), nest)
    return str(shown)
