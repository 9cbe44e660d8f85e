"""Processes that share what this one has imported: a fork costs milliseconds, importing torch not.

Their own limits end the wait of those whose sibling has failed.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from peers.question import LIMIT_S


def run_forked(count: int, body: Callable[[int, str], float]) -> float:
    """Run `body(rank, meeting)` in `count` processes; return what it returned in rank 0.

    Args:
        count: Number of processes.
        body: Its `meeting` is an init_method of torch.distributed. The processes end when that of
            rank 0 has returned; the others wait for that.

    Raises:
        RuntimeError: If there is no result in time.
    """
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        arguments = (body, f"file://{folder}/meeting", sending)
        processes = [
            context.Process(target=_run, args=(rank, *arguments), daemon=True)
            for rank in range(count)
        ]
        for process in processes:
            process.start()
        sending.close()  # so that the end of all processes is seen here
        try:
            if not receiving.poll(LIMIT_S):
                raise RuntimeError(f"no result within {LIMIT_S:.0f} s")
            result: float = receiving.recv()
        except EOFError as error:
            raise RuntimeError("all processes ended without a result") from error
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.join()
    return result


def _run(rank: int, body: Callable[[int, str], float], meeting: str, result: Connection) -> None:
    value = body(rank, meeting)
    if rank == 0:
        result.send(value)
    time.sleep(LIMIT_S)
