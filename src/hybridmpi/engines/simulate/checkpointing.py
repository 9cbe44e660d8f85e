"""How a simulated run begins, anew or from a checkpoint, and writes checkpoints meanwhile."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from hybridmpi.checkpoints.file import State, as_damage, prefixed, without_prefix
from hybridmpi.checkpoints.keeper import Keeper
from hybridmpi.config import Job
from hybridmpi.engines.checkpoint_facts import Count, ServerFacts, check_server, checked
from hybridmpi.engines.server import Server
from hybridmpi.engines.simulate.cluster import Cluster
from hybridmpi.engines.simulate.end import VirtualEnd
from hybridmpi.engines.versions import Versions

_Time = Annotated[int, Field(strict=True, ge=-1, lt=10**24)]  # nanoseconds
_Service = Annotated[float, Field(strict=True, ge=0, lt=1e24)]
_TaskState = tuple[Count, Count, Count, Count, _Time, _Time, _Time, _Time, _Time]
_Name = tuple[Count, Count]  # of a task: its worker, and its place among that worker's


class _HostFacts(BaseModel):
    changes: Count
    running: Count
    service_ns: _Service
    then_ns: _Time
    ends: list[tuple[_Service, Count, _Name]]


class _ClusterFacts(BaseModel):
    now_ns: _Time
    next_batch: list[Count]
    tasks: list[list[_TaskState]]
    idle_since_ns: list[_Time]
    hosts: list[_HostFacts]
    events: list[tuple[_Time, Annotated[int, Field(ge=0, le=4)], Count, tuple[Count, Count | bool]]]
    serial: Count


class _Facts(BaseModel):
    cluster: _ClusterFacts
    busy_until_ns: _Time
    bytes_sent: Count


def check_state(state: State, job: Job, size: int) -> None:
    """Check a checkpoint of a simulated run, before the run file is made anew.

    Raises:
        UserError: If it is damaged, or of another job or model.
    """
    with as_damage():
        server = check_server(state, size, job.simulate.workers)
        cluster = checked(_Facts, dict(state.facts)).cluster
        _check_cluster(cluster, server, job.simulate.workers)
        versions = {task[2] for tasks in cluster.tasks for task in tasks} | {server.core.version}
        if missing := versions - {int(v) for v in without_prefix("version", state.tensors)}:
            raise ValueError(f"the parameters of version {min(missing)} are missing")


def _check_cluster(cluster: _ClusterFacts, server: ServerFacts, num_workers: int) -> None:
    lists = (cluster.next_batch, cluster.tasks, cluster.idle_since_ns)
    if {len(each) for each in lists} != {num_workers + 1}:
        raise ValueError(f"cluster: it is not one of {num_workers} workers")
    core, events = server.core, server.recorder.rows["events"]
    if max(cluster.next_batch) > core.version + core.gradients + events + 1:
        raise ValueError("cluster.next_batch: no worker can have come so far")
    for worker, tasks in enumerate(cluster.tasks):
        for task in tasks:
            if task[0] != worker or task[1] >= cluster.next_batch[worker]:
                raise ValueError(f"cluster.tasks: worker {worker} cannot have begun {task}")


class Checkpointing:
    """Starts a server with its workers, and writes the state of all when that is due."""

    def __init__(
        self,
        server: Server,
        end: VirtualEnd,
        cluster: Cluster,
        versions: Versions,
        job: Job,
        run_file: Path,
    ) -> None:
        asked = job.checkpoint.model_dump()
        self._keeper = Keeper(run_file, **asked, version=server.core.version)
        self._server = server
        self._end = end
        self._cluster = cluster
        self._versions = versions
        self._job = job

    def start(self, resume: State | None) -> None:
        """Start, anew or with the workers and the versions that they held at a checkpoint.

        Raises:
            UserError: If the checkpoint, in which the core goes on already, is damaged.
        """
        if resume is None:
            self._keeper.clear()
            self._server.start()
            return
        with as_damage():
            self._server.resume(resume)
            self._cluster.resume(resume.facts["cluster"])
            version = self._server.core.version
            self._keeper.clear(beyond=version)
            self._end.resume(
                version,
                busy_until_ns=resume.facts["busy_until_ns"],
                bytes_sent=resume.facts["bytes_sent"],
            )
            vectors = without_prefix("version", resume.tensors)
            self._versions.resume({int(name): held for name, held in vectors.items()}, version)
            for held in self._cluster.versions():
                self._versions.hold(held)

    def look(self, now_s: float, interruption: str = "") -> None:
        """Write a checkpoint if one is due, or the run is to end for a signal.

        Raises:
            RunFailed: If it cannot be written.
        """
        server, keeper = self._server, self._keeper
        version = server.core.version
        if not (keeper.is_due(version) or (interruption and keeper.is_wanted)):
            return
        server.recorder.event(now_s, "checkpoint", 0, f"version {version}")
        tensors, facts = server.state()
        del tensors["parameters"]  # they are the newest version
        vectors = {str(held): vector for held, vector in self._versions.vectors().items()}
        own = {
            "job": self._job.model_dump(mode="json"),
            "engine": "simulate",
            "cluster": self._cluster.state(),
            "busy_until_ns": self._end.busy_until_ns,
            "bytes_sent": self._end.bytes_sent,
        }
        keeper.write(version, State(tensors | prefixed("version", vectors), facts | own))
