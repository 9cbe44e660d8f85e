"""Whose data counted in a run whose workers have different data, and what that cost whom."""

import numpy as np
import torch

from hybridmpi.config import Job
from hybridmpi.core.delays import Delays
from hybridmpi.engines.data import LoadedData
from hybridmpi.learning.evaluation import evaluate
from hybridmpi.learning.flat import FlatModel
from hybridmpi.learning.models import build_model
from hybridmpi.runlog.run import Run

FAIRNESS = ("delayed_weight", "delayed_accuracy", "others_accuracy")


def fairness(run: Run, job: Job) -> dict[str, float]:
    """Return how the delayed workers' data fared beside the others'.

    Returns:
        delayed_weight: The share of the delayed workers in the weight of all gradients; of data,
            they have 12 of 25 parts. delayed_accuracy, others_accuracy: The final model's test
            accuracy with the classes in the proportions in which these workers have them.
    """
    data = LoadedData(job, job.simulate.workers)
    delays = Delays(job.run.seed, job.delays.fraction, job.delays.min_s, job.delays.max_s)
    delayed = delays.delayed_workers(job.simulate.workers)
    by_class = _accuracy_by_class(run, job, data)
    gradients = run.gradients
    total = gradients.weight.sum() or np.nan  # of a run without a step
    accuracy = {
        who: float(by_class @ _class_shares(data, who, delayed)) for who in ("delayed", "others")
    }
    return {
        "delayed_weight": float(gradients.weight[gradients.worker.isin(delayed)].sum() / total),
        "delayed_accuracy": accuracy["delayed"],
        "others_accuracy": accuracy["others"],
    }


def _class_shares(data: LoadedData, who: str, delayed: frozenset[int]) -> np.ndarray:
    _, labels = data.training
    shards = [
        shard
        for worker, shard in enumerate(data.shards, start=1)
        if (worker in delayed) == (who == "delayed")
    ]
    counts = np.bincount(labels[torch.cat(shards)].numpy(), minlength=data.facts.num_classes)
    shares: np.ndarray = counts / counts.sum()
    return shares


def _accuracy_by_class(run: Run, job: Job, data: LoadedData) -> np.ndarray:
    facts = data.facts
    module = build_model(
        job.model.name, input_shape=facts.shape, num_classes=facts.num_classes, seed=job.run.seed
    )
    model, final = FlatModel(module), torch.from_numpy(np.array(run.final))
    inputs, labels = data.held_out
    return np.array(
        [
            evaluate(
                model,
                final,
                inputs[labels == label],
                labels[labels == label],
                mean=facts.mean,
                std=facts.std,
            ).accuracy
            for label in range(facts.num_classes)
        ]
    )
