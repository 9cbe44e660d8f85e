"""Runs that cannot be relied on: a win over one of them shows nothing about methods.

- "diverged": the run failed for gradients that were not finite, a metric of an evaluation is not
  finite, what is minimised ends above `FAR_ABOVE` times its start, or the test accuracy ends at
  chance and the training loss has lost more than half of what it had gained. What is minimised is
  the training loss, on its fixed subset: a test loss can also rise by overfitting. Of runs without
  a training loss it is the first metric of which less is better.
- "never learned": any other run whose test accuracy ends at chance; only of classifiers.
- "lost workers": under MPI a process was killed, or given up, and the run went on without it: it is
  no run of the declared number of workers. Simulated workers leave because the job says so.

Chance is 1/classes, and a run is above it beyond 1.5 times that, but at most 5 points above it:
15 % with 10 classes, 55 % with 2, 1.5 % with 100. The room is for test sets whose most frequent
class has more than its share (of MNIST 11.4 %), which a model can reach without having learned
anything. The number of classes is the length of the layout's last parameter, which in a classifier
is the bias, or the weight, of its last layer.
"""

import numpy as np
import pandas as pd

from hybridmpi.core.metrics import TEST_ACCURACY, TRAIN_LOSS
from hybridmpi.runlog.run import Run

DIVERGED, NEVER_LEARNED, LOST_WORKERS = "diverged", "never learned", "lost workers"
FAR_ABOVE = 2.0


def flags_of(run: Run) -> tuple[str, ...]:
    """Return the flags of a run; empty for one that can be relied on."""
    return (*_flags_of_learning(run), *((LOST_WORKERS,) if _lost_workers(run) else ()))


def _lost_workers(run: Run) -> bool:
    lost = run.events[(run.events.kind == "lost") & (run.events.worker > 0)]
    return run.attributes.get("engine") == "mpi" and bool((lost.time_s < run.duration_s).any())


def _flags_of_learning(run: Run) -> tuple[str, ...]:
    evaluations = run.evaluations.sort_values("time_s", kind="stable")
    if _failed_for_non_finite_gradients(run) or _has_diverged(run, evaluations):
        return (DIVERGED,)
    names = [metric.name for metric in run.metrics]
    if evaluations.empty or not {TEST_ACCURACY.name, TRAIN_LOSS.name} <= {*names}:
        return ()
    bar = _bar_above_chance(run)
    if bar is None or evaluations[TEST_ACCURACY.name].iloc[-1] > bar:
        return ()
    return (DIVERGED if _fell_back(evaluations[TRAIN_LOSS.name]) else NEVER_LEARNED,)


def _failed_for_non_finite_gradients(run: Run) -> bool:
    return run.status == "failed" and bool((run.events.kind == "non-finite").any())


def _has_diverged(run: Run, evaluations: pd.DataFrame) -> bool:
    if evaluations.empty:
        return False
    if not np.isfinite(evaluations[[metric.name for metric in run.metrics]].to_numpy()).all():
        return True
    minimised = [metric.name for metric in run.metrics if not metric.higher_is_better]
    if not minimised:
        return False
    name = TRAIN_LOSS.name if TRAIN_LOSS.name in minimised else minimised[0]
    first, last = evaluations[name].iloc[[0, -1]]
    return bool(first > 0 and last > FAR_ABOVE * first)  # a factor says nothing of what is below 0


def _fell_back(losses: pd.Series) -> bool:
    first, lowest, last = losses.iloc[0], losses.min(), losses.iloc[-1]
    return bool(last - lowest > (first - lowest) / 2)


def _bar_above_chance(run: Run) -> float | None:
    """Return the test accuracy above which a run has learned; None for a model that is unknown."""
    shapes = [entry["shape"] for entry in run.layout.get("entries", ()) if entry["is_parameter"]]
    if not shapes or not shapes[-1]:
        return None
    chance = 1 / float(shapes[-1][0])
    return min(1.5 * chance, chance + 0.05)
