"""This rank among all ranks, and what it shares with those of its node."""

import os
import time

from mpi4py import MPI

from hybridmpi.engines.mpi.failed_job import HOW_TO_RESUME, end_job, tell_once
from hybridmpi.engines.mpi.processes import Process, Watch
from hybridmpi.environment import asked_threads
from hybridmpi.resources import usable_cores
from hybridmpi.transport.node_memory import NodeMemory
from hybridmpi.transport.waiting import Patience

_HEARING_S = 3.0  # where MPI tells of a loss, what waits for the lost rank raises an exception


class Ranks:
    """This rank among all ranks, and among those of its node.

    Attributes:
        comm: All ranks, for what they do together.
        direct: All ranks, for messages from one to another. Once a rank is lost, Open MPI may drop
            messages of collectives, and whatever one rank sends another behind them in the same
            communicator is never received.
        node: Those of this rank's node.
        memory: What these share.
        watch: Notices when a process of the node ends: its lowest rank watches the others, and
            these watch it.
        do_train: Whether the run has got so far that it may survive the loss of a worker.
        nodes: The node of each rank, named by its lowest rank.
        cores: Usable cores of this node.
        worker_threads: Threads of every worker: what the user asks for (see
            `environment.asked_threads`), else an equal share of its node's cores, at least 1; on
            all nodes the same number, since bits depend on it.
        threads: Threads of this rank; the server has as many as a worker if the user asks for a
            number, else what workers leave.
        lent_threads: Threads of the server while all other ranks of its node sleep.
    """

    def __init__(self, world: MPI.Intracomm) -> None:
        self.comm, self.direct = world.Dup(), world.Dup()
        self.node = MPI.Intracomm(world.Split_type(MPI.COMM_TYPE_SHARED, key=world.rank))
        self.memory = NodeMemory(self.node)
        processes = dict(self.node.allgather((world.rank, Process.this())))
        lowest = min(processes)
        is_watched = {r: r != world.rank and lowest in (r, world.rank) for r in processes}
        self.do_train = False
        self.watch = Watch(
            {r: process for r, process in processes.items() if is_watched[r]}, self._end_without
        )
        self.cores = usable_cores()
        asked: int | None = world.bcast(asked_threads(os.environ))
        share = max(1, self.cores // self.node.size)
        self.worker_threads = self.threads = asked or min(world.allgather(share))
        self.shares_cores = self.node.size * self.worker_threads > self.cores
        self.lent_threads = self.cores
        if asked:
            self.lent_threads = min(self.cores, asked * self.node.size)
        elif world.rank == 0:
            taken = self.worker_threads * (self.node.size - 1)
            self.threads = max(self.threads, self.cores - taken)
        self.num_workers = world.size - 1
        self.nodes: list[int] = world.allgather(lowest)
        self.num_nodes = len(set(self.nodes))

    def free(self) -> None:
        """Give windows and communicators back, on all ranks together: more runs can follow."""
        self.watch.close()
        self.memory.free()
        self.node.Free()
        self.comm.Free()
        self.direct.Free()

    def _end_without(self, rank: int, how: str) -> None:
        """End the job, in the thread that watches, if a rank is lost that it cannot do without.

        Where MPI tells of the loss it ends by itself, and better: the main thread gets some time.
        """
        if rank == 0:
            error = f"the parameter server is lost: {how}; {HOW_TO_RESUME}"
        elif not self.do_train:
            error = f"rank {rank} was lost before training began: {how}"
        else:
            return
        time.sleep(_HEARING_S)
        lost = self.watch.ended()
        tell_once(error, lost)
        end_job(1, lost)

    def patience(self) -> Patience:
        """Return how this rank is to wait."""
        return Patience(shares_cores=self.shares_cores, waits_alike=True)

    @property
    def is_server(self) -> bool:
        """Whether this rank is the parameter server."""
        return self.comm.rank == 0

    @property
    def is_beside_server(self) -> bool:
        """Whether this rank is on the server's node."""
        return self.nodes[self.comm.rank] == self.nodes[0]
