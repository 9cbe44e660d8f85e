"""What must hold of run files and of checkpoints; each function yields what is wrong."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from hybridmpi.checkpoints.file import State, checkpoints_in, read_state
from hybridmpi.runlog.run import Run
from hybridmpi.runlog.schema import LOGS

LEAST_LEFT_S = 1.0  # of training after a kill, for the loss to show
_LASTING = ["time_s", "worker", "batch", "version", "staleness", "accepted", "loss", "samples"]


def account(run: Run, status: str) -> Iterator[str]:
    """Invariant 5, each batch counted once, and the status with which the run is to have ended."""
    rows, steps, counts = run.gradients, run.steps, run.accounting()
    if run.status != status:
        yield f"status is {run.status} instead of {status}"
    if counts.pushed != counts.stepped + counts.discarded + counts.buffered:
        yield f"gradients are not accounted for: {counts}"
    if counts.buffered >= run.attributes["num_workers"]:
        yield f"{counts.buffered} gradients are buffered, which are enough for a step"
    if steps.version.tolist() != list(range(1, run.final_version + 1)):
        yield f"steps have gaps, or end elsewhere than at version {run.final_version}"
    if rows.step[rows.step >= 0].value_counts().sort_index().tolist() != steps.gradients.tolist():
        yield "steps hold other numbers of gradients than point to them"
    if not (rows.time_s.is_monotonic_increasing and steps.time_s.is_monotonic_increasing):
        yield "time goes back"
    if run.final is None or not np.isfinite(run.final).all():
        yield "the final parameters are missing or not finite"
    yield from _batches(run)


def account_of_stopped(run: Run, state: State) -> Iterator[str]:
    """A run that a signal has stopped, and its last checkpoint."""
    yield from account(run, "stopped")
    reasons = run.events.detail[run.events.kind == "end"].tolist()
    if reasons != ["SIGUSR1"]:
        yield f"the run ended for {reasons} instead of SIGUSR1"
    if state.facts["core"]["version"] != run.final_version:
        yield f"the last checkpoint is not of version {run.final_version}"
    if rows_of(state) != len(run.gradients):
        yield f"the last checkpoint knows {rows_of(state)} of {len(run.gradients)} gradients"


def loss(run: Run, victim: int, killed_s: float) -> Iterator[str]:
    """A run one worker of which was killed, if the run went on for long enough after it."""
    lost = _lost(run)
    if set(lost.worker) - {victim} or len(lost) > 1:
        yield f"workers {lost.worker.tolist()} are lost, but only {victim} was killed"
    elif killed_s > run.duration_s - LEAST_LEFT_S:
        return
    elif lost.empty:
        yield f"no event says that worker {victim} is lost"
    else:
        after = set(run.gradients.worker[int(lost.gradients.iloc[0]) :])
        left = set(run.workers["rank"]) - {victim}
        # Slow workers may be cancelled each time, and never push.
        are_cancelled = run.config["method"]["stale"]["rule"] == "cancel"
        if not (after and after <= left if are_cancelled else after == left):
            yield f"pushes after the loss are of workers {after} instead of all but {victim}"


def recovery(run: Run, killed_s: float) -> dict[str, float]:
    """Return how long a run took to go on after a loss; nothing if it was over by then.

    The next step is the first one that is recorded once the server knew of the loss, so that its
    time covers noticing and recovering: with `async` steps on other workers' gradients may come
    before that. The longest gap is that between two steps, from the last one before the kill to
    this one.

    Args:
        run: The run.
        killed_s: When, on its training clock, or somewhat earlier: it is counted from when the
            start of the training was seen from outside. So times are rather too long.
    """
    known_s, steps_s = _lost(run).time_s.min(), run.steps.time_s
    after = steps_s[steps_s >= known_s]
    if after.empty:
        return {}
    before = steps_s[steps_s <= killed_s][-1:]
    between = steps_s[(steps_s > killed_s) & (steps_s <= after.iloc[0])]
    return {
        "kill to event": float(known_s - killed_s),
        "kill to next step": float(after.iloc[0] - killed_s),
        "longest gap between steps": float(pd.concat([before, between]).diff().max()),
    }


def nothing_lost(killed: Run, state: State | None) -> Iterator[str]:
    """A killed run holds all up to its newest checkpoint; only one in writing may be missing."""
    details = killed.events.detail[killed.events.kind == "checkpoint"]
    versions = [int(detail.split()[1]) for detail in details]
    if state is None:
        if len(versions) > 1:
            yield f"there is no checkpoint, but those of versions {versions} were begun"
        return
    newest, rows = state.facts["core"]["version"], state.facts["recorder"]["rows"]
    if newest not in versions[-2:]:
        yield f"the newest checkpoint is of version {newest}, the last begun of {versions[-2:]}"
    for name in (table.name for table in LOGS):
        if len(getattr(killed, name)) < rows[name]:
            yield f"{len(getattr(killed, name))} rows of {name}, but {rows[name]} at the checkpoint"


def begins_as(before: Run, rows: int, after: Run) -> Iterator[str]:
    """A run that went on begins with these rows of what it was before."""
    if not after.gradients[_LASTING][:rows].equals(before.gradients[_LASTING][:rows]):
        yield f"the first {rows} gradients are others than before it went on"


def newest_checkpoint(folder: Path) -> State | None:
    """Return the newest checkpoint, if there is one; all of them are read.

    Raises:
        UserError: If one cannot be.
    """
    states = [read_state(path) for path in checkpoints_in(folder)]
    return states[-1] if states else None


def rows_of(state: State) -> int:
    """Return how many gradients a run had recorded at a checkpoint."""
    return int(state.facts["recorder"]["rows"]["gradients"])


def _lost(run: Run) -> pd.DataFrame:
    return run.events[(run.events.kind == "lost") & (run.events.worker > 0)]


def _batches(run: Run) -> Iterator[str]:
    """Each batch of a worker was pushed, or else cancelled before that, and none is missing."""
    cancelled = run.events[run.events.kind == "cancelled"]
    for worker, rows in run.gradients.groupby("worker"):
        details = cancelled.detail[cancelled.worker == worker]
        unpushed = [
            int(detail.removeprefix("batch ")) for detail in details if " at " not in detail
        ]
        known = sorted([*rows.batch, *unpushed])
        if known != list(range(len(known))):
            yield f"batches of worker {worker} are counted twice or missing"
