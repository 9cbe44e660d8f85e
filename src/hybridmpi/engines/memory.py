"""The memory plan: what a run will need, before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass

from hybridmpi.errors import UserError

_FLOAT_BYTES = 4
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes that one rank will allocate, by purpose; what Python and torch take is not in it."""

    bytes_by_purpose: Mapping[str, int]

    @property
    def total_bytes(self) -> int:
        """Return the sum."""
        return sum(self.bytes_by_purpose.values())

    def __str__(self) -> str:
        parts = (f"{what} {mib(size)}" for what, size in self.bytes_by_purpose.items() if size)
        return f"{mib(self.total_bytes)} ({', '.join(parts)})"


def server_plan(
    size: int, num_vectors: int, snapshots: int, data_bytes: int, evaluation_bytes: int
) -> MemoryPlan:
    """Plan for rank 0.

    Args:
        size: Elements of a flat vector, parameters and buffers.
        num_vectors: Gradients and versions of the parameters that the transport holds at a time.
        snapshots: Snapshots that will be kept until they are evaluated.
        data_bytes: Evaluation data.
        evaluation_bytes: Activations of what is evaluated at a time.
    """
    vector = size * _FLOAT_BYTES
    return MemoryPlan(
        {
            "gradients and parameters": num_vectors * vector,
            "optimizer": 4 * vector,
            "snapshots": snapshots * vector,
            "data": data_bytes,
            "evaluation": evaluation_bytes,
        }
    )


def worker_plan(size: int, num_vectors: int, data_bytes: int, batch_bytes: int) -> MemoryPlan:
    """Plan for a worker: see `server_plan`; `batch_bytes` is of a training batch's activations."""
    vectors = num_vectors * size * _FLOAT_BYTES
    return MemoryPlan(
        {"gradients and parameters": vectors, "data": data_bytes, "batch": batch_bytes}
    )


def check_fits(needed_bytes: int, available_bytes: int, host: str) -> None:
    """Refuse a plan that does not fit a node.

    Raises:
        UserError: If the node's ranks together need more than is available.
    """
    if needed_bytes > available_bytes:
        raise UserError(
            f"the run needs {mib(needed_bytes)} on {host}, but {mib(available_bytes)} are "
            "available; start fewer workers, take a smaller model or data.batch_size, or snapshot "
            "less often (evaluation.every_s)"
        )


def mib(size_bytes: int) -> str:
    """Write a number of bytes in MiB."""
    return (
        f"{size_bytes / _MIB:,.1f} MiB"
        if size_bytes < 100 * _MIB
        else f"{size_bytes / _MIB:,.0f} MiB"
    )
