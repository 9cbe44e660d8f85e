"""How a simulated run begins, anew or from a checkpoint, and writes checkpoints meanwhile."""

from pathlib import Path

from hybridmpi.checkpoints.file import State, as_damage, prefixed, without_prefix
from hybridmpi.checkpoints.keeper import Keeper
from hybridmpi.config import Job
from hybridmpi.engines.server import Server
from hybridmpi.engines.simulate.cluster import Cluster
from hybridmpi.engines.simulate.end import VirtualEnd
from hybridmpi.engines.versions import Versions


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
