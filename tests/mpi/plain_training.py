"""The training that others do: a loop in one process, and DistributedDataParallel.

Only the mini-batches, which both are to share with a run, and the initial parameters are ours.
"""

import math
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from hybridmpi.config import Job
from hybridmpi.learning.batches import Batches
from hybridmpi.learning.datasets import DataSet, load_dataset
from hybridmpi.learning.flat import Layout, flatten
from hybridmpi.learning.problems.images import build_model, image_samples
from hybridmpi.learning.shards import shard_indices

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def data_set_of(job: Job) -> DataSet:
    """Load the job's data set."""
    return load_dataset(job.data.dataset, job.data.root, options=job.data.options)


def batches_of(job: Job, num_workers: int) -> list[Batches]:
    """Return the mini-batches of each worker."""
    data_set = data_set_of(job)
    shards = shard_indices(
        data_set.train_labels.numpy(),
        num_workers,
        job.data.shards,
        seed=job.run.seed,
        batch_size=job.data.batch_size,
    )
    return [
        Batches(
            image_samples(
                data_set.train_inputs[torch.from_numpy(shard)],
                data_set.train_labels[torch.from_numpy(shard)],
                mean=data_set.mean,
                std=data_set.std,
            ),
            batch_size=job.data.batch_size,
            last_batch=job.data.last_batch,
            seed=job.run.seed,
            worker=worker,
        )
        for worker, shard in enumerate(shards, start=1)
    ]


def model_of(job: Job) -> nn.Module:
    """Build the job's model with its initial parameters."""
    data_set = data_set_of(job)
    return build_model(
        job.model.name,
        input_shape=data_set.shape,
        num_classes=data_set.num_classes,
        seed=job.run.seed,
    )


def train_in_a_loop(job: Job, num_workers: int, steps: int) -> Tensor:
    """Train on the n-th batches of all workers, taken together as the n-th batch.

    Returns:
        The final parameters, flat.
    """
    model, workers = model_of(job), batches_of(job, num_workers)
    optimizer = _optimizer(job, model)
    factor = {"mean": 1.0, "sum": float(num_workers), "sqrt": math.sqrt(num_workers)}
    for step in range(steps):
        batches = [worker.get(step) for worker in workers]
        inputs, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
        optimizer.zero_grad()
        (cross_entropy(model(inputs), labels) * factor[job.method.aggregation]).backward()
        optimizer.step()
    return _flat(model)


def train_data_parallel(job: Job, num_workers: int, steps: int, folder: Path) -> Tensor:
    """Train with DistributedDataParallel (gloo), in a process for each worker.

    Returns:
        The final parameters, flat.
    """
    torch.multiprocessing.spawn(
        _train_data_parallel, (job.model_dump_json(), num_workers, steps, folder), num_workers
    )
    return torch.load(folder / "final.pt")


def _train_data_parallel(
    rank: int, job_json: str, num_workers: int, steps: int, folder: Path
) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=num_workers)
    job = Job.model_validate_json(job_json)
    model, batches = model_of(job), batches_of(job, num_workers)[rank]
    parallel = DistributedDataParallel(model)
    optimizer = _optimizer(job, model)
    for step in range(steps):
        inputs, labels = batches.get(step)
        optimizer.zero_grad()
        cross_entropy(parallel(inputs), labels).backward()
        optimizer.step()
    if rank == 0:
        torch.save(_flat(model), folder / "final.pt")
    dist.barrier()
    os._exit(0)  # a thread of gloo that outlives the interpreter would abort the process


def _optimizer(job: Job, model: nn.Module) -> torch.optim.Optimizer:
    section = job.optimizer
    optimizer_class = OPTIMIZERS[section.name]
    return optimizer_class(model.parameters(), lr=section.initial_learning_rate, **section.options)


def _flat(model: nn.Module) -> Tensor:
    return flatten(model)[: Layout.of(model).num_parameters]
