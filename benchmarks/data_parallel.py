"""DistributedDataParallel (gloo) on the workers of an MPI world: same model, shards and delays.

Two choices are in its favour. A delayed worker waits before it computes its gradient, while the
others compute, and then has the cores nearly to itself; behind the gradient, as hybridmpi does, the
wait would follow 25 gradients' worth of computing. And what tells the workers to stop is sent
while they wait and compute.
"""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from hybridmpi.core.randomness import torch_seed
from hybridmpi.engines.mpi.agreement import barrier, wait
from hybridmpi.engines.snapshots import Snapshot, SnapshotTaker
from hybridmpi.learning.flat import flatten

if TYPE_CHECKING:
    from hybridmpi.config import Job
    from hybridmpi.engines.mpi.ranks import Ranks
    from hybridmpi.engines.mpi.setup import Setup

_LIMIT_S = 120
_TAG = 12


def train_data_parallel(
    ranks: "Ranks", setup: "Setup", job: "Job", learning_rate: float, meeting: Path
) -> list[Snapshot]:
    """Train for the job's time limit on ranks 1..N; every rank of the world calls this.

    Args:
        ranks: The world; its rank 0 only receives the snapshots.
        setup: Model, shards and delays.
        job: Time limit and evaluation grid.
        learning_rate: Of plain SGD on the mean gradient.
        meeting: A file that doesn't exist yet.

    Returns:
        On rank 0 the snapshots, to be evaluated; on the others nothing.
    """
    if ranks.is_server:
        barrier(ranks.comm)  # here training begins
        taken = _receive(ranks)
        barrier(ranks.comm)
        return taken
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group(
        "gloo",
        init_method=f"file://{meeting}",
        rank=ranks.comm.rank - 1,
        world_size=ranks.num_workers,
        timeout=timedelta(seconds=_LIMIT_S),
    )
    taker = _train(ranks, setup, job, learning_rate)
    dist.destroy_process_group()
    if ranks.comm.rank == 1:
        ranks.comm.send(taker.taken, 0, _TAG)
    barrier(ranks.comm)
    return []


def _train(ranks: "Ranks", setup: "Setup", job: "Job", learning_rate: float) -> SnapshotTaker:
    batches = setup.share.batches
    assert batches is not None
    assert job.run.time_limit_s is not None
    torch.manual_seed(torch_seed(job.run.seed, "initial parameters"))
    model = setup.problem.model()
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=learning_rate)
    worker, taker, step = ranks.comm.rank, SnapshotTaker(job.evaluation.every_s, None), 0
    is_last = torch.zeros(1)
    barrier(ranks.comm)
    began_s = time.perf_counter()
    while not is_last:
        is_last.fill_(time.perf_counter() - began_s >= job.run.time_limit_s)
        telling = dist.broadcast(is_last, 0, async_op=True)
        if worker in setup.delayed:
            time.sleep(setup.delays.delay_s(worker, step))
        optimizer.zero_grad()
        setup.problem.loss(parallel, batches.get(step)).backward()  # type: ignore[no-untyped-call]
        assert telling is not None
        telling.wait()
        now_s = time.perf_counter() - began_s
        if worker == 1:
            taker.before_step(min(now_s, job.run.time_limit_s), step, 0, flatten(model))
        optimizer.step()
        step += 1
    return taker


def _receive(ranks: "Ranks") -> list[Snapshot]:
    wait(lambda: ranks.comm.iprobe(1, _TAG))
    taken: list[Snapshot] = ranks.comm.recv(source=1, tag=_TAG)
    return taken
