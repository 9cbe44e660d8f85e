"""What a checkpoint says, checked before anything goes on from it.

A checkpoint may come from anybody. What is checked here is what would do harm later: in the middle
of the run, or by taking no end.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from hybridmpi.checkpoints.file import State
from hybridmpi.core.server import ServerState

Count = Annotated[int, Field(strict=True, ge=0, lt=2**62)]
Seconds = Annotated[float, Field(strict=True, ge=0, lt=1e15)]
Worker = Annotated[int, Field(strict=True, ge=1, le=2**20)]
Checked = TypeVar("Checked")


class RecorderFacts(BaseModel):
    """As `Recorder.state` returns it."""

    non_finite_in_a_row: Count
    discarded: Count
    next_batch: list[tuple[Worker, Count]]
    rows: dict[str, Count]


class SnapshotFacts(BaseModel):
    """As `SnapshotTaker.state` returns it."""

    points: Count
    taken: list[tuple[Seconds, Count, Count]]


class RanksFacts(BaseModel):
    """What `engines.mpi.checkpointing` adds."""

    num_workers: Worker
    shared_out_anew: bool = False
    time_s: Seconds
    bytes_sent: Count
    absent: list[Worker]
    losses: list[Annotated[int, Field(strict=True)]]


class ServerFacts(BaseModel):
    """As `Server.state` returns it."""

    core: ServerState
    recorder: RecorderFacts
    snapshots: SnapshotFacts
    stepped_samples: Count


def checked(kind: type[Checked], facts: Any) -> Checked:
    """Return facts as what they are to be.

    Raises:
        ValueError: If they are not; the message says which first.
    """
    try:
        return TypeAdapter(kind).validate_python(facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}") from None


def check_ranks(facts: Mapping[str, Any]) -> RanksFacts:
    """Check what ranks go on from, besides what `check_server` does.

    Raises:
        ValueError: If something cannot be.
    """
    ranks = checked(RanksFacts, dict(facts))
    known = range(1, ranks.num_workers + 1)
    changes = [abs(change) for change in ranks.losses]
    if not all(worker in known for worker in (*ranks.absent, *changes)):
        raise ValueError(f"absent and losses: they name others than {ranks.num_workers} workers")
    away: set[int] = set()
    for change in ranks.losses:
        away = away | {change} if change > 0 else away - {-change}
        if len(away) == ranks.num_workers:
            raise ValueError("losses: no worker is left")
    return ranks


def check_server(
    state: State, size: int, num_workers: int, *, had_others: bool = False
) -> ServerFacts:
    """Check what a server of any engine goes on from.

    Args:
        state: The checkpoint.
        size: Elements of a vector.
        num_workers: Workers then.
        had_others: Whether the run once had another number of workers. The gradients of those that
            are gone may still be in the gradient buffer, and count.

    Raises:
        ValueError: If something cannot be.
    """
    facts = checked(ServerFacts, dict(state.facts))
    pushed_by = range(1, 2**20 if had_others else num_workers + 1)
    _check_core(facts.core, num_workers, pushed_by)
    rows, core = facts.recorder.rows, facts.core
    if (rows.get("steps"), rows.get("gradients")) != (core.version, core.gradients):
        raise ValueError(f"version {core.version} after {core.gradients} gradients, but {rows}")
    most = core.version + core.gradients + rows.get("events", 0) + 1
    next_batch = facts.recorder.next_batch
    if any(worker not in pushed_by or batch > most for worker, batch in next_batch):
        raise ValueError("recorder.next_batch: no worker can have come so far")
    if any(version > core.version for _, version, _ in facts.snapshots.taken):
        raise ValueError("snapshots.taken: a version that is yet to come")
    _check_vectors(state.tensors, size)
    return facts


def _check_core(core: ServerState, num_workers: int, pushed_by: range) -> None:
    active = [*core.waiting, *core.computing]
    known = range(1, num_workers + 1)
    if len(set(active)) < len(active) or not all(worker in known for worker in active):
        raise ValueError(f"core: the active workers are {active}, of {num_workers}")
    if not all(0 <= version <= core.version for version in core.computing.values()):
        raise ValueError("core.computing: a version that is yet to come")
    if not len(core.pushes) == len(core.staleness) == len(core.weights):
        raise ValueError("core: its gradient buffer is not whole")
    if not all(push.worker in pushed_by and push.samples > 0 for push in core.pushes):
        raise ValueError("core.pushes: none such can have arrived")
    if min(core.version, core.gradients, core.samples) < 0:
        raise ValueError("core: its counts are negative")


def _check_vectors(tensors: Mapping[str, Any], size: int) -> None:
    """Check that parameters, sums and snapshots are vectors of the model."""
    for name, tensor in tensors.items():
        is_vector = name in ("parameters", "update.accumulated")
        is_vector |= name.startswith(("snapshot.", "version."))
        if is_vector and (tuple(tensor.shape) != (size,) or str(tensor.dtype) != "torch.float32"):
            raise ValueError(
                f"{name} is {tensor.dtype} of shape {list(tensor.shape)}, but the model has "
                f"{size} parameters and buffers"
            )
