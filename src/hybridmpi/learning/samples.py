"""Samples: a length, and `take(indices) -> batch`, whatever they are stored in."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridmpi.errors import UserError
from hybridmpi.learning.arrays import as_tensor
from hybridmpi.learning.nests import Nest, check_batch, leaves, map_leaves

Batch = Nest
_ADVICE = (
    "give a tensor, a numpy array, a memory-mapped one, a tuple, list or dict of these, a "
    "map-style torch Dataset, or an object with __len__ and take(indices)"
)


@runtime_checkable
class Samples(Protocol):
    """Samples of any kind.

    They may also have `classes`, int64 of shape [samples], by which Dirichlet shards are drawn.
    Samples with `draws = False` say that they draw nothing from global generators, which are seeded
    for each batch otherwise, and that their batches need no check.
    """

    def __len__(self) -> int:
        """Return how many there are."""

    def take(self, indices: Tensor, /) -> Batch:
        """Return a batch of these samples, int64, [samples], in memory that may be written."""


class AnySamples(Samples, Protocol):
    """Samples as `as_samples` returns them.

    They may have `augment` and `prepare`, as `TensorSamples` does.
    """

    @property
    def draws(self) -> bool:
        """Whether taking them draws from the global generators of torch, numpy or Python."""


@dataclass(frozen=True, eq=False)
class TensorSamples:
    """Samples in memory, which the ranks of a node share.

    Attributes:
        tensors: A nest of tensors; the first dimension of each is the samples.
        classes: The class of each sample, int64, [samples]; for Dirichlet shards.
        augment: Changes a training batch at random: a function of the batch and a numpy Generator,
            on the processor.
        prepare: Makes what a model is given of a stored batch, where the model computes.
    """

    tensors: Nest
    classes: Any = None
    augment: Callable[[Batch, np.random.Generator], Batch] | None = None
    prepare: Callable[[Batch], Batch] | None = None
    draws: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(leaves(self.tensors)[0])

    def take(self, indices: Tensor) -> Batch:
        """Return a copy of these samples."""
        return map_leaves(lambda tensor: tensor.index_select(0, indices), self.tensors)


@dataclass(frozen=True, eq=False)
class MappedSamples:
    """Samples in memory-mapped arrays, of which only what is taken is read.

    Attributes:
        arrays: A nest of `numpy.memmap`, and of tensors for what is small.
        classes: As of `TensorSamples`.
    """

    arrays: Nest
    classes: Any = None
    draws: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(leaves(self.arrays)[0])

    def take(self, indices: Tensor) -> Batch:
        """Read these samples."""
        numbers = indices.numpy()

        def rows(array: Any) -> Tensor:
            if isinstance(array, Tensor):
                return array.index_select(0, indices)
            return torch.from_numpy(np.asarray(array)[numbers])

        return map_leaves(rows, self.arrays)


@dataclass(frozen=True, eq=False)
class DatasetSamples:
    """A map-style data set of torch's, or anything with `__len__` and `__getitem__`.

    What it draws from the global generators of torch, numpy and Python is a function of the seed,
    the worker and the batch.

    Attributes:
        dataset: The data set.
        collate: Makes a batch of a list of items; torch's `default_collate` if not given.
        classes: As of `TensorSamples`; the data set's `targets` if not given.
    """

    dataset: Any
    collate: Callable[[list[Any]], Batch] | None = None
    classes: Any = None
    draws: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.classes is None:
            object.__setattr__(self, "classes", getattr(self.dataset, "targets", None))
        if self.collate is None:
            from torch.utils.data import default_collate

            object.__setattr__(self, "collate", default_collate)

    def __len__(self) -> int:
        return len(self.dataset)

    def take(self, indices: Tensor) -> Batch:
        """Load these items, and collate them."""
        numbers = indices.tolist()
        if hasattr(self.dataset, "__getitems__"):
            items = self.dataset.__getitems__(numbers)
        else:
            items = [self.dataset[number] for number in numbers]
        assert self.collate is not None
        batch = self.collate(items)
        check_batch(batch, len(numbers), f"the data set {type(self.dataset).__name__}")
        return batch


@dataclass(frozen=True, eq=False)
class OwnSamples:
    """Samples of the user's own class; each batch is checked."""

    samples: Samples
    draws: ClassVar[bool] = True

    @property
    def classes(self) -> Any:
        """The samples' own, if they have any."""
        return getattr(self.samples, "classes", None)

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, indices: Tensor) -> Batch:
        """Have the samples taken."""
        batch = self.samples.take(indices)
        check_batch(batch, len(indices), f"{type(self.samples).__name__}.take")
        return batch


@dataclass(frozen=True, eq=False)
class Part:
    """Some of other samples, int64, [samples], without a copy."""

    samples: AnySamples
    indices: Tensor

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: Tensor) -> Batch:
        """Take those of the whole."""
        return self.samples.take(self.indices[indices])

    @property
    def prepare(self) -> Callable[[Batch], Batch] | None:
        """As of the whole."""
        return getattr(self.samples, "prepare", None)

    @property
    def draws(self) -> bool:
        """As of the whole."""
        return self.samples.draws


def part_of(samples: AnySamples, indices: Tensor) -> AnySamples:
    """Return some of these samples: a copy of those in memory, else a view."""
    if isinstance(samples, TensorSamples):
        return replace(samples, tensors=samples.take(indices), classes=None)
    return Part(samples, indices)


def as_samples(given: Any, what: str) -> AnySamples:
    """Return what a user gives as samples.

    Args:
        given: See `Problem`; a function is called.
        what: What they are, for messages.

    Raises:
        UserError: If it can't be taken.
    """
    if callable(given) and not hasattr(given, "__len__") and not hasattr(given, "__iter__"):
        given = given()
    if isinstance(given, TensorSamples):
        given = replace(given, tensors=_tensors(given.tensors, what))
    elif not isinstance(getattr(given, "draws", None), bool):
        given = _wrapped(given, what)
    try:
        count = len(given)
    except TypeError as error:
        raise UserError(f"{what} have no length ({error}); {_ADVICE}") from error
    if not count:
        raise UserError(f"{what} are empty; give at least one sample")
    return given  # type: ignore[no-any-return]


def classes_of(samples: AnySamples, what: str) -> NDArray[np.int64] | None:
    """Return the class of each sample, shape [samples]; None if they have none.

    Raises:
        UserError: If there are not as many whole numbers as samples.
    """
    given = getattr(samples, "classes", None)
    if given is None:
        return None
    try:
        classes = as_tensor(given).numpy()
    except ValueError as error:
        raise UserError(f"classes of {what}: {error}") from error
    if classes.shape != (len(samples),) or classes.dtype.kind not in "iub":
        raise UserError(
            f"classes of {what} are {classes.dtype} of shape {list(classes.shape)}, but must be "
            f"whole numbers of shape [{len(samples)}], one per sample"
        )
    return classes.astype(np.int64)


def seed_generators(seed: int) -> None:
    """Seed the global generators of torch, numpy and Python, for samples that draw."""
    torch.default_generator.manual_seed(seed)  # samples are on the processor
    np.random.seed(seed & 0xFFFFFFFF)
    random.seed(seed)


def examples_of(samples: AnySamples, count: int) -> Batch:
    """Return the first few samples as a model is given them, at most `count`."""
    batch = samples.take(torch.arange(min(count, len(samples))))
    prepare = getattr(samples, "prepare", None)
    return batch if prepare is None else prepare(batch)


def _wrapped(given: Any, what: str) -> AnySamples:
    if isinstance(given, Tensor | np.ndarray | tuple | list | Mapping):
        return _nested(given, what)
    if hasattr(given, "take") and hasattr(given, "__len__"):
        return OwnSamples(given)
    from torch.utils.data import DataLoader, IterableDataset, TensorDataset

    if isinstance(given, DataLoader):
        raise UserError(
            f"{what} are a DataLoader, whose batches depend on what was drawn before; give its "
            "dataset, as DatasetSamples(loader.dataset, loader.collate_fn)"
        )
    if isinstance(given, TensorDataset):
        return _nested(given.tensors, what)
    if isinstance(given, IterableDataset) or not hasattr(given, "__getitem__"):
        kind = type(given).__name__
        if isinstance(given, IterableDataset) or hasattr(given, "__iter__"):
            raise UserError(
                f"{what} are {kind}, an iterable data set: it has no n-th sample, which shards, "
                "keyed batches and replays need; give a map-style one, with __len__ and "
                "__getitem__: list(...) of it where it fits in memory, or write it to a "
                "memory-mapped array once"
            )
        raise UserError(f"{what} are {kind}; {_ADVICE}")
    return DatasetSamples(given)


def _nested(given: Nest, what: str) -> AnySamples:
    if any(isinstance(leaf, np.memmap) for leaf in leaves(given)):
        arrays = map_leaves(
            lambda leaf: leaf if isinstance(leaf, np.memmap) else _tensor(leaf, what), given
        )
        _check_lengths(arrays, what)
        return MappedSamples(arrays)
    return TensorSamples(_tensors(given, what))


def _tensors(given: Nest, what: str) -> Nest:
    tensors = map_leaves(lambda leaf: _tensor(leaf, what), given)
    _check_lengths(tensors, what)
    return tensors


def _tensor(leaf: Any, what: str) -> Tensor:
    try:
        return as_tensor(leaf).contiguous()
    except ValueError as error:
        raise UserError(f"{what} hold a leaf that {error}; {_ADVICE}") from error


def _check_lengths(nest: Nest, what: str) -> None:
    found = leaves(nest)
    if not found:
        raise UserError(f"{what} hold no tensor; {_ADVICE}")
    sizes = {len(leaf) if leaf.ndim else -1 for leaf in found}
    if len(sizes) > 1 or -1 in sizes:
        shown = map_leaves(lambda leaf: list(leaf.shape), nest)
        raise UserError(
            f"{what} have leaves of shapes {shown}; the first dimension of each must be the "
            "samples. For a list of samples give hybridmpi.DatasetSamples(list)"
        )
