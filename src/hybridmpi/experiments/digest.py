"""What a report needs of a run file, small however long the run was."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridmpi.errors import UserError
from hybridmpi.experiments.flags import flags_of
from hybridmpi.experiments.study import Digest
from hybridmpi.runlog.reader import read_run
from hybridmpi.runlog.run import Run

NUM_BINS = 100  # of `course`
COURSE = ("time_s", "threshold", "staleness", "gradients_per_s", "steps_per_s")


def digest_files(paths: Iterable[Path]) -> tuple[dict[Path, Digest], list[str]]:
    """Digest run files one after the other, so that only one is in memory at a time.

    Returns:
        The digests of those that can be read, and for each other one what is wrong with it.
    """
    digests, unreadable = {}, []
    for path in dict.fromkeys(paths):
        try:
            run = read_run(path)
            _check_job(run)
            digests[path] = digest(run)
        except UserError as error:
            unreadable.append(str(error))
    return digests, unreadable


def _check_job(run: Run) -> None:
    """Check what runs are told apart by.

    Raises:
        UserError: If the job does not say it.
    """
    preset, seed = run.config.get("method", {}).get("preset"), run.config.get("run", {}).get("seed")
    if not isinstance(preset, str) or not isinstance(seed, int):
        raise UserError(f"'{run.path}' names no method and seed; use another copy of it")


def digest(run: Run) -> Digest:
    """Return the digest of a run."""
    evaluations = _evaluations(run)
    workers = _workers(run)
    return Digest(
        path=run.path,
        status=run.status,
        engine=str(run.attributes.get("engine", "unknown")),
        config=run.config,
        num_workers=len(run.workers),
        duration_s=run.duration_s,
        outcomes=_metric_outcomes(run, evaluations) | _protocol_outcomes(run, workers),
        evaluations=evaluations,
        course=_course(run),
        staleness_counts=np.bincount(run.gradients.staleness.to_numpy()).astype(np.int64),
        workers=workers,
        flags=flags_of(run),
        metrics=run.metrics,
    )


def _evaluations(run: Run) -> pd.DataFrame:
    """Return the evaluations in order, and what had been spent by each.

    When each byte was sent is not recorded; bytes are spread over the gradients, which they follow:
    one release per push.
    """
    evaluations = run.evaluations.sort_values("time_s", kind="stable", ignore_index=True)
    gradients = np.searchsorted(run.gradients.time_s, evaluations.time_s, side="right")
    per_gradient = _bytes_sent(run) / max(len(run.gradients), 1)
    return evaluations.assign(
        gradients=gradients,
        bytes_sent=gradients * per_gradient,
        worker_seconds=len(run.workers) * evaluations.time_s,
    )


def _metric_outcomes(run: Run, evaluations: pd.DataFrame) -> dict[str, float]:
    outcomes = {}
    for metric in run.metrics:
        name, values = metric.name, evaluations[metric.name]
        outcomes[name] = run.interval_mean(name)
        outcomes[f"{name}_end"] = float(values.iloc[-1]) if len(values) else np.nan
        outcomes[f"{name}_best"] = float(values.max() if metric.higher_is_better else values.min())
    return outcomes


def _protocol_outcomes(run: Run, workers: pd.DataFrame) -> dict[str, float]:
    return {
        "gradients": float(len(run.gradients)),
        "steps": float(len(run.steps)),
        "bytes_sent": _bytes_sent(run),
        "worker_seconds": len(run.workers) * run.duration_s,
        "discarded": float(run.accounting().discarded),
        "mean_staleness": float(run.gradients.staleness.mean()),
        "waiting_share": float(workers.waiting_share.mean()),
    }


def _bytes_sent(run: Run) -> float:
    return float(run.attributes.get("bytes_sent", np.nan))


def _workers(run: Run) -> pd.DataFrame:
    ranks = run.workers["rank"].to_numpy()
    pushed_by = run.gradients.worker.to_numpy()
    size = ranks.max(initial=0) + 1
    waited_s = np.bincount(pushed_by, weights=run.gradients.wait_s, minlength=size)
    return pd.DataFrame(
        {
            "rank": ranks,
            "delayed": run.workers.delayed.to_numpy(),
            "gradients": np.bincount(pushed_by, minlength=size)[ranks],
            "waiting_share": waited_s[ranks] / (run.duration_s or np.nan),
        }
    )


def _course(run: Run) -> pd.DataFrame:
    if not run.duration_s:
        return pd.DataFrame(columns=COURSE, dtype=np.float64)
    width_s = run.duration_s / NUM_BINS
    gradients = _per_bin(run.gradients.time_s, width_s)
    staleness = _per_bin(run.gradients.time_s, width_s, run.gradients.staleness)
    ends_s = np.linspace(width_s, run.duration_s, NUM_BINS)
    return pd.DataFrame(
        {
            "time_s": ends_s,
            "threshold": _threshold_at(ends_s, run.steps),
            "staleness": staleness / np.where(gradients, gradients, np.nan),
            "gradients_per_s": gradients / width_s,
            "steps_per_s": _per_bin(run.steps.time_s, width_s) / width_s,
        }
    )


def _per_bin(
    time_s: pd.Series, width_s: float, weights: pd.Series | None = None
) -> NDArray[np.float64]:
    """Add up rows, or what they weigh, by the bin that their time is in."""
    bins = np.minimum(time_s.to_numpy() / width_s, NUM_BINS - 1).astype(np.int64)
    added: NDArray[np.float64] = np.bincount(bins, weights, NUM_BINS).astype(np.float64)
    return added


def _threshold_at(time_s: NDArray[np.float64], steps: pd.DataFrame) -> NDArray[np.float64]:
    """Return the threshold of the last step by each time; NaN before the first step."""
    thresholds = np.concatenate([[np.nan], steps.threshold.to_numpy(np.float64)])
    taken: NDArray[np.float64] = thresholds[np.searchsorted(steps.time_s, time_s, side="right")]
    return taken
