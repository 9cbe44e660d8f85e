"""What is held out of the training set, and what the workers get of the rest."""

from typing import Any

import torch

from hybridmpi.config.load import parse_job
from hybridmpi.engines.data import LoadedData
from hybridmpi.engines.problem import Sharing, source_of
from hybridmpi.learning.samples import AnySamples

WORKERS = 3
SAMPLES = 120  # and 24 for testing


def loaded(seed: int = 0, **data: Any) -> LoadedData:
    options = {"samples": SAMPLES, "shape": [1, 2, 2], "classes": 3}
    tree = {
        "run": {"step_limit": 1, "seed": seed},
        "method": {"preset": "async"},
        "data": {"dataset": "synthetic", "batch_size": 4, "options": options, **data},
    }
    job = parse_job(tree, "job")
    return LoadedData(source_of(job).make(), Sharing.of(job), WORKERS)


def members(samples: AnySamples) -> set[tuple[float, ...]]:
    """Return the samples, which are drawn from real numbers and so differ, with their labels."""
    inputs, labels = samples.take(torch.arange(len(samples)))
    return {(*x.flatten().tolist(), int(y)) for x, y in zip(inputs, labels, strict=True)}


def test_held_out_samples_reach_no_worker_and_not_the_training_subset() -> None:
    data = loaded(validation=0.2)
    everything = set().union(*(members(loaded().shard(w)) for w in range(1, WORKERS + 1)))
    shards = [members(data.shard(worker)) for worker in range(1, WORKERS + 1)]
    trained_on = set().union(*shards)
    assert members(data.held_out) == everything - trained_on
    assert members(data.training_subset()) == trained_on
    assert len(members(data.held_out)) == 24
    assert data.facts.training_samples == sum(data.facts.shard_sizes) == len(trained_on) == 96


def test_all_seeds_hold_out_the_same_samples() -> None:
    first, second = (loaded(seed, validation=0.2) for seed in (1, 2))
    assert members(first.held_out) == members(second.held_out)
    assert members(first.shard(1)) != members(second.shard(1))


def test_shards_by_class_come_from_the_rest_too() -> None:
    data = loaded(validation=0.2, shards="dirichlet", concentration=0.5)
    shards = [members(data.shard(worker)) for worker in range(1, WORKERS + 1)]
    assert len(set().union(*shards)) == 96
    assert not set().union(*shards) & members(data.held_out)


def test_without_validation_the_test_set_is_held_out() -> None:
    data = loaded()
    assert len(members(data.held_out)) == 24
    assert data.facts.training_samples == SAMPLES
    assert not members(data.held_out) & members(data.training_subset())
