"""What is done about workers that are lost, or hang: the run goes on without them."""

from collections.abc import Callable, Sequence

from hybridmpi.config.job import FaultsSection
from hybridmpi.engines.mpi.failed_job import HOW_TO_RESUME
from hybridmpi.engines.mpi.processes import Watch
from hybridmpi.engines.server import Server
from hybridmpi.errors import RunFailed
from hybridmpi.transport.losses import survives_losses
from hybridmpi.transport.messages import MessageServer


class LostWorkers:
    """Takes workers out of a run when their processes have ended, or when they hang.

    Attributes:
        absent: Those that are lost, in order.
        losses: Whose shards have been shared out anew, in order, and who is back; see
            `learning.shards.share_out_anew`.
        are_left_alive: Whether a process may still live that the run goes on without.
    """

    def __init__(
        self,
        server: Server,
        end: MessageServer,
        faults: FaultsSection,
        *,
        watch: Watch,
        losses: Sequence[int],
        can_share_out: bool,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Expect no loss yet.

        Args:
            server: Goes on without them.
            end: Its end of the transport.
            faults: What the job says.
            watch: Of the processes of workers on the server's node.
            losses: Those before this run went on.
            can_share_out: Whether workers can read each other's samples.
            tell: Told of each loss.
        """
        self.absent: list[int] = []
        self.are_left_alive = False
        self.losses = list(losses)
        self._server = server
        self._end = end
        self._faults = faults
        self._watch = watch
        self._shares_out = can_share_out and faults.lost_shard == "redistribute"
        self._tell = tell

    def look(self, now_s: float) -> None:
        """Go on without the workers that have been lost since the last look, or hang.

        Raises:
            RunFailed: If too few are left.
        """
        ended = self._watch.ended()
        for worker in self._end.losses(ended):
            why = ended.get(worker, "its process has ended")
            self._lose(worker, now_s, why, is_survived=survives_losses())
        for worker in self._overdue(now_s):
            self.give_up(worker, now_s, f"no push within {self._faults.timeout_s:g} s")

    def give_up(self, worker: int, now_s: float, why: str) -> None:
        """Go on without a worker that may still live, and end its process if that can be done.

        Only where the job survives that; elsewhere it would end with the process.
        """
        if not (survives_losses() and self._watch.kill(worker)):
            self.are_left_alive = True
        self._end.lose(worker)
        self._lose(worker, now_s, why, is_survived=True)

    def _overdue(self, now_s: float) -> list[int]:
        timeout_s, server = self._faults.timeout_s, self._server
        if timeout_s is None or server.core.stop_reason:
            return []
        released_s = server.released_s
        return [w for w in server.core.computing if now_s - released_s[w] > timeout_s]

    def _lose(self, worker: int, now_s: float, why: str, *, is_survived: bool) -> None:
        server, was_over = self._server, bool(self._server.core.stop_reason)
        self.absent.append(worker)
        server.lose(worker, now_s, why)
        if self._shares_out:
            self.losses.append(worker)
            self._end.share_out_anew(worker)
        left, lost = server.core.active_workers, f"worker {worker} is lost at {now_s:.1f} s: {why}"
        if was_over:
            self._tell(lost)
        elif not is_survived:
            raise RunFailed(f"{lost}, which this MPI does not survive; {HOW_TO_RESUME}")
        elif left < self._faults.min_workers:
            least = f"{left} are left, but faults.min_workers is {self._faults.min_workers}"
            raise RunFailed(f"{lost}; {least}; {HOW_TO_RESUME}")
        else:
            self._tell(f"{lost}; {left} go on")
