"""Ray: the parameter server is an actor, and so is each worker.

With one gradient per step a worker calls the server, which answers with the parameters. With more
it is the form of Ray's own example of a synchronous parameter server: the parameters go to all
workers, and what they return goes to the server, all by reference.
"""

import atexit
import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from peers.question import LEARNING_RATE, LIMIT_S, WARM_UP, Answer, Question, rounds_within

# Ray reads these when it is imported. It would else leave a secret in the user's home.
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray._private import services

Vector = NDArray[np.float32]

_STORE_BYTES = 4 << 30


class _Server:
    def reset(self, size: int) -> None:
        self._parameters = np.zeros(size, np.float32)

    def push(self, *gradients: Vector) -> Vector:
        total = gradients[0] if len(gradients) == 1 else np.add.reduce(gradients)
        self._parameters -= np.float32(LEARNING_RATE / len(gradients)) * total
        return self._parameters


class _Worker:
    def reset(self, size: int) -> None:
        self._gradient = np.zeros(size, np.float32)

    def gradient(self, _: Vector) -> Vector:
        return self._gradient

    def work(self, server: Any, rounds: int) -> None:
        for _ in range(rounds):
            ray.get(server.push.remote(self._gradient), timeout=LIMIT_S)


def prepare(workers: int) -> Callable[[Question], Answer]:
    """Start Ray's own processes and the actors, and return what measures."""
    _start(num_actors=workers + 1)
    server = ray.remote(_Server).remote()
    actors = [ray.remote(_Worker).remote() for _ in range(workers)]

    def measure(question: Question) -> Answer:
        ray.get([actor.reset.remote(question.size) for actor in (server, *actors)], timeout=LIMIT_S)
        run = _run_asynchronously if question.threshold == 1 else _run_synchronously
        _timed(run, server, actors, 1)  # fills the object store
        rounds = rounds_within(question.seconds, _timed(run, server, actors, WARM_UP))
        rate = rounds * workers / _timed(run, server, actors, rounds)
        return Answer(rate, question.threshold)

    return measure


def _start(num_actors: int) -> None:
    folder = tempfile.mkdtemp(prefix="ray-")
    atexit.register(_stop, folder)
    # Ray takes the machine's outer address in place of the loopback's, and listens there.
    with mock.patch.object(services, "resolve_ip_for_localhost", lambda host: host):
        ray.init(
            address="local",
            num_cpus=num_actors,  # they may outnumber the cores
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )


def _stop(folder: str) -> None:
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def _timed(run: Callable[[Any, list[Any], int], Any], *arguments: Any) -> float:
    began_s = time.perf_counter()
    ray.get(run(*arguments), timeout=LIMIT_S)
    return time.perf_counter() - began_s


def _run_asynchronously(server: Any, workers: list[Any], rounds: int) -> Any:
    return [worker.work.remote(server, rounds) for worker in workers]


def _run_synchronously(server: Any, workers: list[Any], rounds: int) -> Any:
    parameters = server.push.remote(*[worker.gradient.remote(None) for worker in workers])
    for _ in range(rounds - 1):
        gradients = [worker.gradient.remote(parameters) for worker in workers]
        parameters = server.push.remote(*gradients)
    return parameters
