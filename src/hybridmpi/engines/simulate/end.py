"""The server's end of a transport that takes only virtual time."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hybridmpi.engines.simulate.cluster import Cluster
from hybridmpi.engines.versions import Versions

_NUM_ROWS = 2  # one in which gradients add up, one for the next


class VirtualEnd:
    """Rows, versions, and a server that is busy while it works."""

    def __init__(self, versions: Versions, size: int) -> None:
        """Allocate rows for vectors of `size` elements."""
        self.cluster: Cluster
        self.bytes_sent = 0
        self.busy_until_ns = 0
        self._versions = versions
        self._version = 0
        self._rows = [torch.zeros(size) for _ in range(_NUM_ROWS)]
        self._free_rows = list(range(_NUM_ROWS))
        self._message_bytes = 0
        self._per_step_ns = 0

    def connect(self, cluster: Cluster, *, message_bytes: int, per_step_ns: int) -> None:
        """Send to these workers, messages of this size; a step keeps the server busy so long."""
        self.cluster = cluster
        self._message_bytes = message_bytes
        self._per_step_ns = per_step_ns

    @property
    def parameters(self) -> Tensor:
        """The parameters of the version in force, shape [size]."""
        return self._versions.newest

    def resume(self, version: int, *, busy_until_ns: int, bytes_sent: int) -> None:
        """Go on where another end was."""
        self._version, self.busy_until_ns, self.bytes_sent = version, busy_until_ns, bytes_sent

    def take_row(self) -> int:
        """Return a row to compute a gradient into."""
        return self._free_rows.pop()

    def row(self, row: int) -> Tensor:
        """Return a row, shape [size]."""
        return self._rows[row]

    def free(self, row: int) -> None:
        """Give back a row."""
        self._free_rows.append(row)

    def next_parameters(self) -> Tensor:
        """Return where to write the next version, shape [size]."""
        return self._versions.next_vector()

    def publish(self, version: int) -> None:
        """Put what was written in force; it has taken the time of a step."""
        if version:
            self._versions.publish(version)
            self.busy_until_ns += self._per_step_ns
        self._version = version

    def release(self, workers: Sequence[int], *, all_wait: bool) -> None:
        """Send the version in force to these workers, once the server is no longer busy."""
        del all_wait
        self._versions.hold(self._version, len(workers))
        for worker in workers:
            self.cluster.release(worker, self._version, self.busy_until_ns)
        self.bytes_sent += self._message_bytes * len(workers)

    def stop(self, workers: Sequence[int]) -> None:
        """Tell these workers that the run is over: there is nothing more to come of them."""
