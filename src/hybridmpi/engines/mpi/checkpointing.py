"""How a run under MPI begins, anew or from a checkpoint, and writes checkpoints meanwhile."""

from pathlib import Path

from hybridmpi.checkpoints.behind import WriterBehind
from hybridmpi.checkpoints.file import State, as_damage
from hybridmpi.checkpoints.keeper import Keeper
from hybridmpi.config import Job
from hybridmpi.engines.mpi.lost_workers import LostWorkers
from hybridmpi.engines.server import Server
from hybridmpi.transport.messages import MessageServer


class Checkpointing:
    """Starts a server, and has its state written when that is due.

    Attributes:
        behind: Writes.
    """

    def __init__(
        self,
        server: Server,
        end: MessageServer,
        lost: LostWorkers,
        job: Job,
        run_file: Path,
        num_workers: int,
        *,
        is_shared_out_anew: bool,
    ) -> None:
        asked = job.checkpoint.model_dump()
        self._keeper = Keeper(run_file, **asked, version=server.core.version)
        self.behind = WriterBehind(self._keeper)
        self._server = server
        self._end = end
        self._lost = lost
        self._job = job
        self._num_workers = num_workers
        self._is_shared_out_anew = is_shared_out_anew

    def start(self, resume: State | None, free: tuple[int, ...]) -> float:
        """Start the server, and return the time on the training clock.

        Args:
            resume: The checkpoint to go on from, in which the core and the parameters do already.
            free: The workers that are then to be released.

        Raises:
            UserError: If the checkpoint is damaged.
        """
        if resume is None:
            self._keeper.clear()
            self._server.start()
            return 0.0
        with as_damage():
            self._server.resume(resume)
            self._keeper.clear(beyond=self._server.core.version)
            time_s = float(resume.facts["time_s"])
            self._end.bytes_sent += int(resume.facts["bytes_sent"])
            self._record_workers(resume, time_s)
        self._server.go_on(free, time_s)
        return time_s

    def _record_workers(self, resume: State, time_s: float) -> None:
        """Record who is back, new, or gone as the run goes on."""
        record, now = self._server.recorder.event, self._num_workers
        then, absent = int(resume.facts["num_workers"]), resume.facts["absent"]
        for worker in range(1, max(now, then) + 1):
            was_there = worker <= then and worker not in absent
            if was_there and worker > now:
                record(time_s, "lost", worker, f"the run goes on with {now} workers")
            elif not was_there and worker <= now:
                record(time_s, "joined", worker, "as the run goes on")

    def look(self, now_s: float, interruption: str) -> None:
        """Begin to write a checkpoint if one is due, or the run is to end for a signal.

        Raises:
            RunFailed: If one cannot be written.
        """
        version = self._server.core.version
        is_last = self._keeper.is_wanted and bool(interruption)
        if is_last or self.behind.is_due(version):
            self._write(now_s)

    def save(self, now_s: float) -> None:
        """Write a checkpoint whole, if the job asks for any, before the run ends.

        Raises:
            RunFailed: If it cannot be written.
        """
        if self._keeper.is_wanted:
            self._write(now_s)
            self.behind.finish()

    def _write(self, now_s: float) -> None:
        server, version = self._server, self._server.core.version
        server.recorder.event(now_s, "checkpoint", 0, f"version {version}")
        tensors, facts = server.state()
        own = {
            "job": self._job.model_dump(mode="json"),
            "engine": "mpi",
            "num_workers": self._num_workers,
            "shared_out_anew": self._is_shared_out_anew,
            "time_s": now_s,
            "bytes_sent": self._end.bytes_sent,
            "absent": self._lost.absent,
            "losses": self._lost.losses,
        }
        self.behind.write(version, State(tensors, facts | own))
