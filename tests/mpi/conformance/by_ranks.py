"""Under mpirun: plays all scenarios with real messages, and leaves the records in records.pickle.

The order of arrival is the script's, because no worker computes before it is handed the baton, on
a communicator of its own; and the server hands out the next one when all whom it has released have
begun. The server's loop is given the script's time.
"""

import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from mpi4py import MPI
from record import Record, RecordingServer
from scenarios import SCENARIOS, Place, Scenario
from torch import Tensor

from hybridmpi.core.messages import Push, Release
from hybridmpi.core.server import ParameterServer
from hybridmpi.core.worker import Compute
from hybridmpi.engines.mpi.agreement import barrier
from hybridmpi.engines.mpi.ends import server_end, worker_end
from hybridmpi.engines.mpi.ranks import Ranks
from hybridmpi.engines.mpi.server import Loop
from hybridmpi.engines.mpi.setup import Setup
from hybridmpi.engines.mpi.worker import work
from hybridmpi.engines.provenance import provenance
from hybridmpi.engines.recorder import Recorder
from hybridmpi.engines.snapshots import SnapshotTaker
from hybridmpi.learning.gradients import Gradient, GradientComputer
from hybridmpi.learning.problems.images import cross_entropy
from hybridmpi.learning.update import Update
from hybridmpi.runlog.writer import RunWriter
from hybridmpi.transport.messages import MessageServer
from hybridmpi.transport.node_memory import NodeMemory
from hybridmpi.transport.waiting import Patience, wait_until

PATIENCE = Patience(shares_cores=True)
LIMIT_S = 120.0


class ScriptedEnd:
    """The server's end of the transport, where the script says what has arrived, and when."""

    def __init__(
        self, scenario: Scenario, end: MessageServer, batons: MPI.Intracomm, record: Record
    ) -> None:
        self.server: RecordingServer
        self.now_s = 0.0
        self._end = end
        self._batons = batons
        self._record = record
        self._seen = 0  # of what the record holds
        self._sent: dict[int, Push] = {}
        self._signal_s = scenario.script.signal_s
        self._happenings = iter(scenario.script.happenings[1:])

    @property
    def is_disturbed(self) -> bool:
        return self._end.is_disturbed

    @property
    def is_full(self) -> bool:
        return self._end.is_full

    def clock(self) -> float:
        return self.now_s

    def interrupted(self) -> str:
        return "signal" if self.now_s >= self._signal_s else ""

    def failure(self) -> str | None:
        return self._end.failure()

    def arrivals(self) -> list[Push]:
        """Let the next line of the script happen."""
        self._let_begin()
        happening = next(self._happenings, None)
        assert happening is not None, "the script ends before the run"
        self.now_s, worker, core = happening.time_s, happening.worker, self.server.core
        match happening.kind:
            case "push":
                return [self._sent.pop(worker, None) or self._receive(worker)]
            case "send":
                self._sent[worker] = self._receive(worker)
            case "lose":
                if push := self._sent.pop(worker, None):
                    self._end.free(push.row)
                self.server.recorder.event(self.now_s, "lost", worker)
                self.server.carry_out(core.lose(worker, self.now_s), self.now_s)
            case "join":
                self.server.recorder.event(self.now_s, "joined", worker)
                self.server.carry_out(core.join(worker), self.now_s)
        return []

    def _let_begin(self) -> None:
        """Wait until all who were released since the last time have begun."""
        told, self._seen = self._record.told[self._seen :], len(self._record.told)
        for _, instruction in told:
            if isinstance(instruction, Release):
                for worker in instruction.workers:
                    assert wait_until(lambda w=worker: self._has_begun(w), PATIENCE, LIMIT_S)
                    self._batons.recv(source=worker)

    def _has_begun(self, worker: int) -> bool:
        assert not list(self._end.arrivals())  # nobody pushes now, but who was cancelled may answer
        return bool(self._batons.iprobe(worker))

    def _receive(self, worker: int) -> Push:
        if self._end.is_full:
            self.server.add_up()
        self._batons.send(None, worker)
        pushes: list[Push] = []

        def has_arrived() -> bool:
            pushes.extend(self._end.arrivals())
            return bool(pushes)

        assert wait_until(has_arrived, PATIENCE, LIMIT_S), f"worker {worker} did not push"
        (push,) = pushes
        assert push.worker == worker
        return push


def serve(setup: Setup, scenario: Scenario, batons: MPI.Intracomm, path: Path) -> Record:
    job, record, facts = setup.whole_job, Record(), setup.share.facts
    limits = job.limits(facts.training_samples)
    core = ParameterServer(job.as_protocol(), limits, scenario.present)
    barrier(setup.ranks.comm)
    end = server_end(setup.ranks, setup.layout.size, setup.choice.transport)
    end.next_parameters().copy_(setup.initial)
    scripted = ScriptedEnd(scenario, end, batons, record)
    scripted.server = RecordingServer(
        record,
        core,
        end,
        Update(setup.layout, setup.optimizer),
        limits=limits,
        recorder=Recorder(_create(setup, path)),
        snapshots=SnapshotTaker(None, None),
        non_finite_limit=job.run.non_finite_limit,
    )
    loop = Loop(
        scripted.server,
        scripted,
        limits=limits,
        patience=setup.ranks.patience(),
        straggler_limit_s=job.run.straggler_limit_s,
        interrupted=scripted.interrupted,
        clock=scripted.clock,
    )
    assert loop.serve()
    end.stop(scenario.lost)
    assert end.close()
    recorder = scripted.server.recorder
    recorder.writer.final(end.parameters.numpy(), core.version)
    recorder.close("complete", duration_s=scripted.server.end_s)
    record.final = end.parameters.numpy().tobytes()
    return record


def compute_and_push(setup: Setup, scenario: Scenario, batons: MPI.Intracomm) -> None:
    job, number, batches = setup.job, setup.ranks.comm.rank, setup.share.batches
    computer = GradientComputer(setup.model, cross_entropy, seed=job.seed)
    assert batches is not None

    def compute(
        task: Compute, parameters: Tensor, gradient: Tensor, cancelled: Callable[[], bool]
    ) -> Gradient | None:
        batons.send(None, 0)
        while not batons.iprobe(0):
            if cancelled():
                return None
            PATIENCE.pause()
        batons.recv(source=0)
        return computer.compute(
            batches, number, task.batch, parameters, gradient, cancelled=cancelled
        )

    barrier(setup.ranks.comm)
    end = worker_end(
        setup.ranks,
        setup.layout.size,
        setup.choice.transport,
        # who is lost, and not really gone, still computes when it joins again
        can_be_cancelled=job.cancels or bool(scenario.script.changes),
    )
    work(end, number, compute, None)
    end.close()


def _create(setup: Setup, path: Path) -> RunWriter:
    facts, workers = setup.share.facts, range(1, setup.ranks.num_workers + 1)
    return RunWriter.create(
        path,
        config=setup.whole_job.model_dump(mode="json"),
        attributes=provenance(
            "mpi",
            num_workers=len(workers),
            training_samples=facts.training_samples,
            evaluated_on=setup.whole_job.data.evaluated_on,
        ),
        layout_json=setup.layout.to_json(),
        size=setup.layout.size,
        workers=[(w, "host", "cpu", facts.shard_sizes[w - 1], False) for w in workers],
    )


def play(scenario: Scenario, batons: MPI.Intracomm, path: Path, place: Place) -> Record | None:
    ranks = Ranks(MPI.COMM_WORLD)
    ranks.node.Free()
    ranks.nodes = [rank * place.num_nodes // ranks.comm.size for rank in range(ranks.comm.size)]
    ranks.num_nodes = place.num_nodes
    ranks.node = ranks.comm.Split(ranks.nodes[ranks.comm.rank])
    ranks.memory = NodeMemory(ranks.node)
    torch.set_num_threads(1)
    setup = Setup(ranks, scenario.job(run={**scenario.run, "transport": place.transport}))
    record = None
    if ranks.is_server:
        record = serve(setup, scenario, batons, path)
    else:
        compute_and_push(setup, scenario, batons)
    barrier(ranks.comm)
    ranks.free()
    return record


def main() -> None:
    batons = MPI.COMM_WORLD.Dup()
    records = {}
    for name, scenario in SCENARIOS.items():
        for place in scenario.places:
            if batons.rank == 0:
                print(name, place, flush=True)  # which one it was, if it fails
            path = Path(f"{name}-{place.transport}-{place.num_nodes}.h5")
            records[name, place] = play(scenario, batons, path, place)
    if batons.rank == 0:
        Path("records.pickle").write_bytes(pickle.dumps(records))


main()
