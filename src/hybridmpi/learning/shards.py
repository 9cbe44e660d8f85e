"""Which training samples belong to whom: validation split, shards, and the evaluation subset."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hybridmpi.core.randomness import generator
from hybridmpi.errors import UserError

Indices = NDArray[np.int64]
Proportions = NDArray[np.float64]
Scheme = Literal["stride", "contiguous", "dirichlet", "dirichlet-equal"]
MAX_ATTEMPTS = 1_000


def shard_indices(
    labels: Indices,
    num_workers: int,
    scheme: Scheme,
    *,
    seed: int,
    batch_size: int,
    concentration: float = 1.0,
) -> list[Indices]:
    """Share the training set out, every sample to exactly one worker.

    Args:
        labels: The class of each sample, shape [num_samples]; "stride" and "contiguous" only look
            at how many there are.
        num_workers: The number of shards.
        scheme: "stride" deals a random order out in turn; "contiguous" cuts equal blocks as the
            set lies; "dirichlet" divides each class among the workers in proportions drawn from
            Dirichlet(concentration), so that each worker has its own mix of classes;
            "dirichlet-equal" draws proportions of classes for each worker instead, so that all
            shards have the same size, give or take one.
        seed: The run's seed.
        batch_size: No shard may hold fewer samples.
        concentration: Above 0; the smaller, the fewer workers share a class.

    Returns:
        For each of the workers 1..num_workers the indices of its samples, ascending.

    Raises:
        UserError: If there are too few samples, `concentration` is unfit, or 1,000 draws of
            "dirichlet" all leave some worker less than a batch.

    Source: Hsu, Qi, Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated
    Visual Classification", arXiv 1909.06335, section 3: "dirichlet-equal", with `concentration`
    for each class; Yurochkin et al., arXiv 1905.12022: "dirichlet".
    """
    _check_sizes(len(labels), num_workers, batch_size)
    match scheme:
        case "stride":
            order = generator(seed, "shards").permutation(len(labels))
            shards = [order[worker::num_workers] for worker in range(num_workers)]
        case "contiguous":
            shards = np.array_split(np.arange(len(labels)), num_workers)
        case "dirichlet":
            shards = _by_class(labels, num_workers, seed, batch_size, concentration)
        case "dirichlet-equal":
            shards = _equal_by_class(labels, num_workers, seed, concentration)
    return [np.sort(shard) for shard in shards]


def share_out_anew(shards: Sequence[Indices], losses: Iterable[int]) -> list[Indices]:
    """Share the shards of lost workers out among those that are left.

    Args:
        shards: For each of the workers 1..N the indices of its samples.
        losses: The workers that are lost, one after the other; -w says that worker w is back, with
            its own shard, and that what else is lost is shared out as if it had never been away.

    Returns:
        For each worker its own indices and its parts of the lost shards, dealt out in turn among
        the workers that were left then; none for a worker that is lost.
    """
    absent: list[int] = []
    for change in losses:
        absent = [*absent, change] if change > 0 else [w for w in absent if w != -change]
    shared = list(shards)
    for number, worker in enumerate(absent, start=1):
        left = [w for w in range(1, len(shards) + 1) if w not in absent[:number]]
        lost, shared[worker - 1] = shared[worker - 1], np.empty(0, np.int64)
        for place, heir in enumerate(left):
            shared[heir - 1] = np.concatenate([shared[heir - 1], lost[place :: len(left)]])
    return shared


def _check_sizes(num_samples: int, num_workers: int, batch_size: int) -> None:
    if num_workers > num_samples:
        raise UserError(
            f"{num_workers} workers can't share {num_samples} training samples; start fewer workers"
        )
    smallest = num_samples // num_workers
    if batch_size > smallest:
        raise UserError(
            f"batch_size is {batch_size}, but {num_samples} training samples give {num_workers} "
            f"workers {smallest} each; lower batch_size to {smallest} or start fewer workers"
        )


def _by_class(
    labels: Indices, num_workers: int, seed: int, batch_size: int, concentration: float
) -> list[Indices]:
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    cuts = _class_cuts([len(c) for c in classes], num_workers, seed, batch_size, concentration)
    rng = generator(seed, "shard members")
    pieces = [
        np.split(rng.permutation(members), cut) for members, cut in zip(classes, cuts, strict=True)
    ]
    return [np.concatenate(of_worker) for of_worker in zip(*pieces, strict=True)]


def _class_cuts(
    class_sizes: list[int], num_workers: int, seed: int, batch_size: int, concentration: float
) -> Indices:
    """Draw where each class is cut, until every worker has a batch: [classes, num_workers - 1]."""
    _check_concentration(concentration)
    sizes = np.array(class_sizes)[:, None]
    for attempt in range(MAX_ATTEMPTS):
        rng = generator(seed, "shard proportions", n=attempt)
        proportions = rng.dirichlet(np.full(num_workers, concentration), len(sizes))
        cuts: Indices = np.rint(proportions.cumsum(axis=1)[:, :-1] * sizes).astype(np.int64)
        shard_sizes = np.diff(cuts, prepend=0, append=sizes).sum(axis=0)
        if shard_sizes.min() >= batch_size:
            return cuts
    raise UserError(
        f"in {MAX_ATTEMPTS} draws with concentration {concentration} some of the {num_workers} "
        f"shards always held fewer than batch_size={batch_size} of {sizes.sum()} training samples; "
        "raise concentration, lower batch_size or start fewer workers"
    )


def _equal_by_class(
    labels: Indices, num_workers: int, seed: int, concentration: float
) -> list[Indices]:
    """Fill one worker's shard after the other; what is left of a class is all that can be taken."""
    _check_concentration(concentration)
    members = [
        generator(seed, "shard members", n=n).permutation(np.flatnonzero(labels == label))
        for n, label in enumerate(np.unique(labels))
    ]
    taken = np.zeros(len(members), np.int64)
    shards = []
    for worker, size in enumerate(map(len, np.array_split(labels, num_workers)), start=1):
        rng = generator(seed, "shard proportions", worker=worker)
        wanted = rng.dirichlet(np.full(len(members), concentration))
        counts = _draw_counts(rng, wanted, np.array([len(m) for m in members]) - taken, size)
        begins, taken = taken, taken + counts
        pieces = zip(members, begins, taken, strict=True)
        shards.append(np.concatenate([own[begin:end] for own, begin, end in pieces]))
    return shards


def _draw_counts(
    rng: np.random.Generator, wanted: Proportions, left: Indices, size: int
) -> Indices:
    """Draw how many samples of each class a worker takes, at most those that are left."""
    counts = np.zeros(len(left), np.int64)
    while (missing := size - counts.sum()) > 0:
        weights = np.where(counts < left, wanted, 0.0)
        if not weights.sum():  # nothing is left of what it wants
            weights = (left - counts).astype(np.float64)
        counts = np.minimum(counts + rng.multinomial(missing, weights / weights.sum()), left)
    return counts


def _check_concentration(concentration: float) -> None:
    if not 0 < concentration < np.inf:
        raise UserError(f"concentration is {concentration}, but must be above 0 and finite")


def split(num_samples: int, validation: float) -> tuple[Indices, Indices]:
    """Split the training set into what is trained on and what is held out.

    The choice depends on the size of the data set alone, so that all runs of a tuning, whatever
    their seeds, are evaluated on the same samples; a larger share holds out the same and more.

    Args:
        num_samples: The size of the training set.
        validation: The share that is held out, below 1; 0 for none.

    Returns:
        The indices that are left for training, and those that are held out, both ascending.

    Raises:
        UserError: If a share above 0 comes to less than one sample.
    """
    size = round(validation * num_samples)
    if validation and not size:
        raise UserError(
            f"data.validation is {validation}, but of {num_samples} training samples that holds "
            f"out none; raise it to {1 / num_samples:.2g} or more, or set it to 0"
        )
    is_held_out = np.zeros(num_samples, bool)
    if size:
        is_held_out[generator(0, "validation").permutation(num_samples)[:size]] = True
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def training_subset(num_samples: int, size: int = 5_000) -> Indices:
    """Choose the training samples on which `train_loss` is evaluated.

    The choice doesn't depend on a run's seed, so that runs with different seeds are compared on the
    same samples.

    Args:
        num_samples: The size of the training set.
        size: How many to choose; all, where there are no more.

    Returns:
        The chosen indices, ascending, shape [min(size, num_samples)].
    """
    order = generator(0, "training subset").permutation(num_samples)
    return np.sort(order[:size])
