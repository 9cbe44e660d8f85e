"""What the parameter server is told, and what it tells its engine to do.

These are named tuples, not data classes: a server makes several per gradient, and they are made in
a fifth of the time.
"""

from typing import Literal, NamedTuple


class Push(NamedTuple):
    """A worker's gradient, as the server sees it: everything but the numbers themselves.

    Attributes:
        worker: Who computed it, 1..N.
        batch: The worker's batch counter, from 0; cancelled batches are counted too.
        version: The version of the parameters that it was computed at.
        row: The row of the gradient buffer that holds the gradient; the core only hands it back.
        loss: Mean loss over the mini-batch.
        samples: Number of samples in the mini-batch.
        compute_s: Seconds spent computing, without the job's extra delays.
        wait_s: Seconds the worker waited for its release before that.
        is_finite: False if the gradient holds NaN or infinity.
        assignment: How often the training set had been shared out anew when the batch was drawn.
    """

    worker: int
    batch: int
    version: int
    row: int
    loss: float
    samples: int
    compute_s: float = 0.0
    wait_s: float = 0.0
    is_finite: bool = True
    assignment: int = 0


DiscardReason = Literal["stale", "cancelled", "non-finite", "late"]


class Discard(NamedTuple):
    """Free the row of this push; a late one is not counted as pushed."""

    push: Push
    reason: DiscardReason


class Accumulate(NamedTuple):
    """Add weight x the gradient of this push to the accumulated gradient.

    The push is in the gradient buffer now. Adding it up at once, while it is in the processor's
    cache, leaves the step less to do and frees the push's row.
    """

    push: Push
    weight: float


class Step(NamedTuple):
    """Step with scale x the accumulated gradient, and begin to accumulate anew.

    Attributes:
        version: The version that the step makes.
        pushes: The whole gradient buffer, in arrival order.
        weights: The weight of each gradient in the aggregated one: `scale` times its weight in the
            accumulated one.
        staleness: Each push's staleness when it arrived.
        threshold: The threshold K that the buffer reached.
        learning_rate: The learning rate of this step.
        scale: The factor that makes the accumulated gradient the aggregated one.
    """

    version: int
    pushes: tuple[Push, ...]
    weights: tuple[float, ...]
    staleness: tuple[int, ...]
    threshold: int
    learning_rate: float
    scale: float


class Release(NamedTuple):
    """Send these workers the parameters of the version now in force.

    Attributes:
        workers: Who is released.
        version: The version now in force.
        cancel: True if the workers still compute and are to abandon their batch.
        all_wait: True if every active worker is released by this instruction.
    """

    workers: tuple[int, ...]
    version: int
    cancel: bool = False
    all_wait: bool = False


class Stop(NamedTuple):
    """Tell these workers, who wait, that the run is over."""

    workers: tuple[int, ...]


Instruction = Accumulate | Discard | Step | Release | Stop
