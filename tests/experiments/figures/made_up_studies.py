"""Studies of runs that never ran, for figures to draw."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hybridmpi.experiments.study import Cell, Digest, Place, Question, Study

NUM_WORKERS, DURATION_S = 6, 100.0
Made = tuple[Study, dict[Path, Digest]]


def digest_at(place: Place, path: Path = Path("run.h5")) -> Digest:
    """Return what a run could have looked like: a learning curve, the same for the same place."""
    draws = np.random.default_rng([*map(ord, str(place))])
    rate = dict(place.cell).get("optimizer.learning_rate", 0.05)
    delay_s = dict(place.cell).get("delays.max_s", 0.5)
    is_sync, is_async = place.variant == "sync", place.variant == "async"
    per_s = 20 / (1 + 3 * delay_s) if is_sync else 40 / (1 + delay_s)
    top = (
        0.9
        - 0.04 * (place.variant == "hybrid") * (delay_s < 0.4)
        - 0.03 * is_async * np.sqrt(rate * 100) * (0.5 + delay_s)
        + draws.normal(0, 0.004)
    )
    time_s = np.linspace(0, DURATION_S, 21)
    learned = 1 - np.exp(-time_s * per_s * rate / 15)
    accuracy = 0.1 + (top - 0.1) * learned + draws.normal(0, 0.004, 21) * (time_s > 0)
    loss = 2.3 - 2.1 * learned * top + draws.normal(0, 0.01, 21)
    evaluations = pd.DataFrame(
        {
            "time_s": time_s,
            "test_accuracy": accuracy,
            "test_loss": loss,
            "train_loss": loss - 0.05 * learned,
            "gradients": np.round(time_s * per_s * draws.uniform(0.98, 1.02)),
            "bytes_sent": time_s * per_s * 2.5e6,
            "worker_seconds": time_s * NUM_WORKERS,
        }
    )
    threshold = 1 + 5 * np.arange(50) / 49
    threshold = np.full(50, 6.0) if is_sync else np.ones(50) if is_async else threshold
    course = pd.DataFrame(
        {
            "time_s": np.linspace(2, DURATION_S, 50),
            "threshold": np.floor(threshold),
            "staleness": 5 / np.floor(threshold) - 5 / 6 + draws.normal(0, 0.1, 50) * (not is_sync),
            "gradients_per_s": per_s + draws.normal(0, 1, 50),
            "steps_per_s": per_s / threshold,
        }
    )
    outcomes = {
        "test_accuracy": float(accuracy.mean()),
        "test_loss": float(loss.mean()),
        "train_loss": float(loss.mean()) - 0.03,
        "test_accuracy_end": float(accuracy[-1]),
        "gradients": per_s * DURATION_S,
    }
    delayed = draws.permutation(NUM_WORKERS) < NUM_WORKERS // 2
    gradients = np.round(per_s * 16 * (1 - 0.5 * delayed * (not is_sync)) + draws.normal(0, 5, 6))
    counts = draws.multinomial(
        4000, [1.0] if is_sync else draws.dirichlet(np.geomspace(50, 2 if is_async else 0.2, 12))
    )
    return Digest(
        path=path,
        status="complete",
        engine="simulate",
        config={"run": {"seed": place.seed}},
        num_workers=NUM_WORKERS,
        duration_s=DURATION_S,
        outcomes=outcomes,
        evaluations=evaluations,
        course=course,
        staleness_counts=counts,
        workers=pd.DataFrame(
            {"rank": range(1, 7), "delayed": delayed, "gradients": gradients, "waiting_share": 0.1}
        ),
    )


def make(
    variants: Sequence[str] = ("async", "sync", "hybrid"),
    num_seeds: int = 3,
    **axes: Iterable[Any],
) -> Made:
    """Make up a study and its digests; `optimizer__learning_rate=[...]` is an axis."""
    names = [name.replace("__", ".") for name in axes]
    cells: list[Cell] = [
        tuple(zip(names, values, strict=True)) for values in product(*axes.values())
    ]
    places = {
        Place(variant, cell, seed): Path(f"{variant}-{number}-{seed}.h5")
        for variant in variants
        for number, cell in enumerate(cells)
        for seed in range(num_seeds)
    }
    digests = {path: digest_at(place, path) for place, path in places.items()}
    return Study(places, Question(variants[0], tuple(variants[1:]))), digests


def with_outcome(
    made: Made, value_of: Callable[[Place], float], name: str = "test_accuracy"
) -> Made:
    """Return the study and digests whose outcome is a function of the place."""
    study, digests = made
    return study, {
        path: replace(digests[path], outcomes={name: value_of(place)})
        for place, path in study.places.items()
    }


def with_curve(made: Made, values_of: Callable[[Place], Sequence[float]]) -> Made:
    """Return the study and digests whose test accuracy at 0 s, 50 s and 100 s is given."""
    study, digests = made
    return study, {
        path: replace(
            digests[path],
            evaluations=pd.DataFrame(
                {"time_s": [0.0, 50.0, 100.0], "test_accuracy": values_of(place)}
            ),
        )
        for place, path in study.places.items()
    }


def change(made: Made, path: str, **changes: Any) -> Made:
    """Return the study and digests with one digest changed."""
    study, digests = made
    return study, digests | {Path(path): replace(digests[Path(path)], **changes)}


def without(made: Made, *paths: str) -> Made:
    """Return the study and digests without some runs."""
    study, digests = made
    return study, {path: digest for path, digest in digests.items() if str(path) not in paths}
