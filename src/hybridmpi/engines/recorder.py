"""What the core decides, as rows of the run file."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridmpi.core.messages import Discard, Instruction, Push, Step
from hybridmpi.runlog.schema import GRADIENTS, STEPS, Table
from hybridmpi.runlog.writer import RunWriter

_FLUSH_EVERY_S = 1.0
_STEP_FIELDS = ("time_s", "version", "threshold", "gradients", "learning_rate")


class Recorder:
    """Records pushes, steps and events of one run, and writes them on `flush`.

    The server's loop pays for the recording, so that it only keeps what it is given (a third of a
    microsecond per push); rows are made on `flush`, all at once. It keeps numbers, not messages:
    Python's garbage collector would pass through these time and again.

    Attributes:
        non_finite_in_a_row: Number of the last pushes that held NaN or infinity.
        discarded: Number of pushes thrown away, late ones excepted.
        writer: Of the run file.
    """

    def __init__(self, writer: RunWriter) -> None:
        self.non_finite_in_a_row = 0
        self.discarded = 0
        self.writer = writer
        self._pushes: list[float] = []  # their fields, since the last flush; so with the next three
        self._times_s: list[float] = []
        self._staleness: list[int] = []
        self._server_s: list[float] = []
        self._discards: dict[int, Discard] = {}  # by the number of the push since the last flush
        self._late: list[int] = []
        self._steps: list[float] = []  # their fields
        self._weights: list[float] = []  # of the pushes in these steps
        self._last_step: Step | None = None
        self._buffered = np.empty(0, GRADIENTS.dtype)  # rows that were in no step at the last flush
        self._numbers = np.empty(0, np.int64)  # theirs in the run file
        self._next_batch: defaultdict[int, int] = defaultdict(int)  # by worker
        self._next_flush_s = 0.0
        self._written = 0  # rows of pushes in the run file

    def state(self) -> dict[str, Any]:
        """Return what another recorder needs to go on from here; what was recorded is written."""
        self.flush()
        return {
            "non_finite_in_a_row": self.non_finite_in_a_row,
            "discarded": self.discarded,
            "next_batch": list(self._next_batch.items()),
            "rows": self.writer.num_rows(),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on where another recorder was, with a run file that holds what it had written."""
        self.non_finite_in_a_row = state["non_finite_in_a_row"]
        self.discarded = state["discarded"]
        self._next_batch.update(dict(state["next_batch"]))
        rows = self.writer.rows(GRADIENTS)
        self._numbers = np.flatnonzero(rows["accepted"] & (rows["step"] < 0))
        self._buffered, self._written = rows[self._numbers], len(rows)

    @property
    def recent_loss(self) -> float:
        """Mean mini-batch loss of the last step."""
        pushes = self._last_step.pushes if self._last_step else ()
        return sum(push.loss for push in pushes) / len(pushes) if pushes else float("nan")

    @property
    def recent_staleness(self) -> float:
        """Mean staleness of the last step."""
        staleness = self._last_step.staleness if self._last_step else ()
        return sum(staleness) / len(staleness) if staleness else 0.0

    def push(
        self, push: Push, now_s: float, staleness: int, instructions: Sequence[Instruction]
    ) -> None:
        """Record a push and what the core made of it."""
        self.non_finite_in_a_row = 0 if push.is_finite else self.non_finite_in_a_row + 1
        if instructions and isinstance(instructions[0], Discard):
            number = len(self._times_s)
            self._discards[number] = instructions[0]
            if instructions[0].reason == "late":
                self._late.append(number)
            else:
                self.discarded += 1
        self._pushes.extend(push)
        self._times_s.append(now_s)
        self._staleness.append(staleness)

    def served(self, server_s: float) -> None:
        """Record how long the server was busy with the last push."""
        self._server_s.append(server_s)

    def served_also(self, server_s: float) -> None:
        """Record that the last push kept the server busy for longer; if written, it stays so."""
        if self._server_s:
            self._server_s[-1] += server_s

    def step(self, step: Step, now_s: float) -> None:
        """Record a step and the weights of its gradients."""
        self._last_step = step
        _, pushes, weights, _, threshold, learning_rate, _ = step
        self._steps.extend((now_s, step.version, threshold, len(pushes), learning_rate))
        self._weights.extend(weights)

    def event(
        self, now_s: float, kind: str, worker: int = 0, detail: str = "", before: int | None = None
    ) -> None:
        """Record an event; worker 0 is the server.

        Args:
            now_s: When it happened.
            kind: What happened.
            worker: To whom.
            detail: What happened, in words.
            before: How many of the pushes not yet written came before it; all if not given.
        """
        if before is None:
            self._write_pushes()  # their events come first, whenever the file is flushed
            before = 0
        late = bisect_left(self._late, before)
        self.writer.event(now_s, kind, worker, detail, self._written + before - late)

    def flush_if_due(self, now_s: float) -> None:
        """Let readers see what has been recorded, at most once a second."""
        if now_s >= self._next_flush_s:
            self._next_flush_s = now_s + _FLUSH_EVERY_S
            self.flush()

    def flush(self) -> None:
        """Let readers see what has been recorded."""
        self._write_pushes()
        self._write_steps()
        self.writer.flush()

    def close(self, status: str, **attributes: str | int | float) -> None:
        """Write what is left, and close the run file; see `RunWriter.close`."""
        try:
            self.flush()
        finally:
            self.writer.close(status, **attributes)

    def _write_pushes(self) -> None:
        """Write the pushes as rows in no step, and the events that belong to them."""
        rows = _rows(GRADIENTS, Push._fields, self._pushes)
        rows["time_s"], rows["staleness"], rows["step"] = self._times_s, self._staleness, -1
        rows["server_s"][: len(self._server_s)] = self._server_s  # one less if that push failed
        rows["accepted"] = True
        self._write_events(rows["worker"].tolist(), rows["batch"].tolist())
        if self._discards:
            rows["accepted"][list(self._discards)] = False
            rows = np.delete(rows, self._late)
        first = self.writer.append(GRADIENTS, rows)
        self._written += len(rows)
        accepted = np.flatnonzero(rows["accepted"])
        self._buffered = np.concatenate([self._buffered, rows[accepted]])
        self._numbers = np.concatenate([self._numbers, first + accepted])
        self._pushes, self._times_s, self._staleness, self._server_s = [], [], [], []
        self._discards, self._late = {}, []

    def _write_steps(self) -> None:
        """Write the steps; the gradient buffer is emptied by each, in the order of arrival."""
        if not self._steps:
            return
        rows = _rows(STEPS, _STEP_FIELDS, self._steps)
        counts = rows["gradients"]
        total, firsts = len(self._weights), np.cumsum(counts) - counts
        stepped, self._buffered = np.split(self._buffered, [total])
        numbers, self._numbers = np.split(self._numbers, [total])
        rows["train_loss"] = np.add.reduceat(stepped["loss"], firsts) / counts
        rows["mean_staleness"] = np.add.reduceat(stepped["staleness"], firsts) / counts
        rows["max_staleness"] = np.maximum.reduceat(stepped["staleness"], firsts)
        self.writer.append(STEPS, rows)
        steps = np.repeat(rows["version"], counts)
        self.writer.amend(GRADIENTS, numbers, step=steps, weight=np.array(self._weights))
        self._steps, self._weights = [], []

    def _write_events(self, workers: Sequence[int], batches: Sequence[int]) -> None:
        """Write what happened to batches that are in no step; of a stale push its row tells."""
        next_batch, discards, times_s = self._next_batch, self._discards, self._times_s
        for number, (worker, batch) in enumerate(zip(workers, batches, strict=True)):
            for passed_over in range(next_batch[worker], batch):
                detail = f"batch {passed_over}"
                self.event(times_s[number], "cancelled", worker, detail, number)
            next_batch[worker] = batch + 1
            if number in discards and discards[number].reason != "stale":
                push, reason = discards[number]
                detail = f"batch {batch} at version {push.version}, loss {push.loss:g}"
                self.event(times_s[number], reason, worker, detail, number + 1)


def _rows(table: Table, names: Sequence[str], values: Sequence[float]) -> NDArray[np.void]:
    """Make a table's rows from the values of these names, row after row; other names are left."""
    fields = np.fromiter(values, np.float64, len(values)).reshape(-1, len(names))
    rows = np.zeros(len(fields), table.dtype)
    for name, column in zip(names, fields.T, strict=True):
        if name in table.names:
            rows[name] = column
    return rows
