"""gloo: all-reduce of one flat vector, as DistributedDataParallel does with a bucket.

Every all-reduce counts as many gradients as there are workers. The optimizer step that each worker
would take is left out, which is in gloo's favour.
"""

import os
import time
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist

from peers.forked import run_forked
from peers.question import LIMIT_S, WARM_UP, Answer, Question, rounds_within


def prepare(workers: int) -> Callable[[Question], Answer]:
    """Return what measures; there is no threshold but the number of workers."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)

    def measure(question: Question) -> Answer:
        rate = run_forked(workers, lambda rank, meeting: _rate(rank, meeting, workers, question))
        return Answer(rate, workers)

    return measure


def _rate(rank: int, meeting: str, workers: int, question: Question) -> float:
    dist.init_process_group(
        "gloo",
        init_method=meeting,
        rank=rank,
        world_size=workers,
        timeout=timedelta(seconds=LIMIT_S),
    )
    vector = torch.zeros(question.size)
    _reduce(vector, 1)  # connects
    rounds = torch.tensor([rounds_within(question.seconds, _reduce(vector, WARM_UP))])
    dist.broadcast(rounds, 0)
    elapsed_s = _reduce(vector, int(rounds))
    dist.barrier()
    return int(rounds) * workers / elapsed_s


def _reduce(vector: torch.Tensor, rounds: int) -> float:
    """Return the seconds that so many all-reduces take."""
    dist.barrier()
    began_s = time.perf_counter()
    for _ in range(rounds):
        dist.all_reduce(vector)
    return time.perf_counter() - began_s
