"""Whose data counted in a run whose workers have different data, and what that cost whom."""

import numpy as np
import torch

from hybridmpi.config import Job
from hybridmpi.core.delays import Delays
from hybridmpi.engines.data import LoadedData
from hybridmpi.engines.problem import Sharing, source_of
from hybridmpi.learning.evaluation import evaluate
from hybridmpi.learning.flat import FlatModel
from hybridmpi.learning.problem import Problem
from hybridmpi.learning.samples import classes_of, part_of
from hybridmpi.runlog.run import Run

FAIRNESS = ("delayed_weight", "delayed_accuracy", "others_accuracy")


def fairness(run: Run, job: Job) -> dict[str, float]:
    """Return how the delayed workers' data fared beside the others'.

    Returns:
        delayed_weight: The share of the delayed workers in the weight of all gradients; of data,
            they have 12 of 25 parts. delayed_accuracy, others_accuracy: The final model's test
            accuracy with the classes in the proportions in which these workers have them.
    """
    problem = source_of(job).make()
    data = LoadedData(problem, Sharing.of(job), job.simulate.workers)
    delays = Delays(job.run.seed, job.delays.fraction, job.delays.min_s, job.delays.max_s)
    delayed = delays.delayed_workers(job.simulate.workers)
    by_class = _accuracy_by_class(run, problem, data)
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
    classes = classes_of(data.training, "training samples")
    shards = [
        shard
        for worker, shard in enumerate(data.shards, start=1)
        if (worker in delayed) == (who == "delayed")
    ]
    counts = np.bincount(classes[torch.cat(shards).numpy()], minlength=classes.max() + 1)
    shares: np.ndarray = counts / counts.sum()
    return shares


def _accuracy_by_class(run: Run, problem: Problem, data: LoadedData) -> np.ndarray:
    model = FlatModel(problem.model(), *problem.functions())
    final = torch.from_numpy(np.array(run.final))
    classes = torch.from_numpy(classes_of(data.held_out, "test samples"))
    return np.array(
        [
            evaluate(
                model,
                problem,
                final,
                part_of(data.held_out, torch.argwhere(classes == number)[:, 0]),
            )["accuracy"]
            for number in range(int(classes.max()) + 1)
        ]
    )
