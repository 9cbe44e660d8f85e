"""What the core decides, as rows of the run file."""

from collections.abc import Sequence

from hybridmpi.core.messages import Discard, Instruction, Push, Step
from hybridmpi.runlog.writer import RunWriter

_FLUSH_EVERY_S = 1.0


class Recorder:
    """Writes pushes, steps and events of one run.

    Attributes:
        non_finite_in_a_row: Number of the last pushes that held NaN or infinity.
        discarded: Number of pushes thrown away, late ones excepted.
        recent_loss: Mean mini-batch loss of the last step.
        recent_staleness: Mean staleness of the last step.
    """

    def __init__(self, writer: RunWriter) -> None:
        self.non_finite_in_a_row = 0
        self.discarded = 0
        self.recent_loss = float("nan")
        self.recent_staleness = 0.0
        self._writer = writer
        self._rows: dict[int, int] = {}  # of the gradient buffer: of the run file
        self._next_batch: dict[int, int] = {}
        self._next_flush_s = 0.0

    def push(
        self, push: Push, now_s: float, staleness: int, instructions: Sequence[Instruction]
    ) -> None:
        """Record a push and what the core made of it."""
        first = instructions[0] if instructions else None
        reason = first.reason if isinstance(first, Discard) else None
        self._note_cancelled(push, now_s)
        if reason == "late":
            self._writer.event(now_s, "late", push.worker, f"batch {push.batch}")
            return
        self.non_finite_in_a_row = 0 if push.is_finite else self.non_finite_in_a_row + 1
        row = self._writer.gradient(
            now_s,
            push.worker,
            push.batch,
            push.version,
            staleness,
            reason is None,
            0.0,
            push.loss,
            push.samples,
            push.compute_s,
            push.wait_s,
        )
        if reason is None:
            self._rows[push.row] = row
            return
        self.discarded += 1
        if reason != "stale":
            detail = f"batch {push.batch} at version {push.version}, loss {push.loss:g}"
            self._writer.event(now_s, reason, push.worker, detail)

    def step(self, step: Step, now_s: float) -> None:
        """Record a step and the weights of its gradients."""
        count = len(step.pushes)
        for push, weight in zip(step.pushes, step.weights, strict=True):
            self._writer.resolve(self._rows.pop(push.row), step.version, weight)
        self.recent_loss = sum(push.loss for push in step.pushes) / count
        self.recent_staleness = sum(step.staleness) / count
        self._writer.step(
            now_s,
            step.version,
            step.threshold,
            count,
            step.learning_rate,
            self.recent_staleness,
            max(step.staleness),
            self.recent_loss,
        )

    def flush(self, now_s: float) -> None:
        """Let readers see what has been recorded, at most once a second."""
        if now_s >= self._next_flush_s:
            self._next_flush_s = now_s + _FLUSH_EVERY_S
            self._writer.flush()

    def event(self, now_s: float, kind: str, worker: int = 0, detail: str = "") -> None:
        """Record an event; worker 0 is the server."""
        self._writer.event(now_s, kind, worker, detail)

    def _note_cancelled(self, push: Push, now_s: float) -> None:
        """Record the batches that the worker has abandoned since its last push."""
        for batch in range(self._next_batch.get(push.worker, 0), push.batch):
            self._writer.event(now_s, "cancelled", push.worker, f"batch {batch}")
        self._next_batch[push.worker] = push.batch + 1
