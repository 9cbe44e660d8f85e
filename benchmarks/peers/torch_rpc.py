"""torch RPC (TensorPipe): workers call the server's function by rpc_sync.

With more than one gradient per step the call is answered when its step has been taken, by an
asynchronous execution, as in PyTorch's tutorial on batch RPC processing. Steps are taken out of
place, since answers that are still being sent must not change.
"""

import os
import threading
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributed import rpc
from torch.futures import Future, wait_all

from peers.forked import run_forked
from peers.question import LEARNING_RATE, LIMIT_S, WARM_UP, Answer, Question, rounds_within


class _Server:
    def __init__(self, size: int, threshold: int) -> None:
        self._lock = threading.Lock()
        self._threshold = threshold
        self._parameters = torch.zeros(size)
        self._total = torch.zeros(size)
        self._count = 0
        self._next: Future[Tensor] = Future()

    def step(self, gradient: Tensor) -> Tensor:
        with self._lock:
            self._parameters = self._stepped(gradient)
            return self._parameters

    def gather(self, gradient: Tensor) -> Future[Tensor]:
        with self._lock:
            self._total.add_(gradient)
            self._count += 1
            answer = self._next
            if self._count < self._threshold:
                return answer
            self._parameters = self._stepped(self._total)
            self._total.zero_()
            self._count, self._next = 0, Future()
        answer.set_result(self._parameters)
        return answer

    def _stepped(self, gradient: Tensor) -> Tensor:
        return torch.add(self._parameters, gradient, alpha=-LEARNING_RATE / self._threshold)


_servers: list[_Server] = []  # RPC calls functions, and they have to find the server


def _push(gradient: Tensor) -> Tensor:
    return _servers[0].step(gradient)


@rpc.functions.async_execution  # type: ignore[untyped-decorator]
def _push_and_wait(gradient: Tensor) -> Future[Tensor]:
    return _servers[0].gather(gradient)


def _work(size: int, threshold: int, rounds: int) -> None:
    gradient, push = torch.zeros(size), _push if threshold == 1 else _push_and_wait
    for _ in range(rounds):
        rpc.rpc_sync("rank0", push, args=(gradient,))


def prepare(workers: int) -> Callable[[Question], Answer]:
    """Return what measures."""
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["TP_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)

    def measure(question: Question) -> Answer:
        rate = run_forked(
            workers + 1, lambda rank, meeting: _rate(rank, meeting, workers, question)
        )
        return Answer(rate, question.threshold)

    return measure


def _rate(rank: int, meeting: str, workers: int, question: Question) -> float:
    if rank == 0:
        _servers.append(_Server(question.size, question.threshold))
    warnings.simplefilter("ignore")  # it warns of what it does itself
    rpc.init_rpc(  # type: ignore[no-untyped-call]
        f"rank{rank}",
        rank=rank,
        world_size=workers + 1,
        rpc_backend_options=rpc.TensorPipeRpcBackendOptions(
            init_method=meeting, rpc_timeout=LIMIT_S
        ),
    )
    if rank > 0:
        return 0.0
    _work_on_all(workers, question, 1)  # connects
    rounds = rounds_within(question.seconds, _work_on_all(workers, question, WARM_UP))
    return rounds * workers / _work_on_all(workers, question, rounds)


def _work_on_all(workers: int, question: Question, rounds: int) -> float:
    """Return the seconds that so many pushes of each worker take."""
    began_s = time.perf_counter()
    work = (question.size, question.threshold, rounds)
    wait_all([rpc.rpc_async(f"rank{rank}", _work, args=work) for rank in range(1, workers + 1)])
    return time.perf_counter() - began_s
