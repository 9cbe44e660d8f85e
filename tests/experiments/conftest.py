from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hybridmpi.experiments.study import Cell, Digest, Place, Question, Study

TIMES_S = (0.0, 5.0, 10.0)


def made_digest(
    path: Path,
    *,
    preset: str = "hybrid",
    seed: int = 0,
    accuracies: Sequence[float] = (0.1, 0.5, 0.6),
    losses: Sequence[float] = (2.3, 1.0, 0.8),
    times_s: Sequence[float] = TIMES_S,
    gradients: int = 100,
    status: str = "complete",
    engine: str = "simulate",
    flags: tuple[str, ...] = (),
    num_workers: int = 2,
    data: Mapping[str, Any] = {},
    settings: Mapping[str, Any] = {},
) -> Digest:
    """Return the digest of a run whose numbers can be worked out by hand."""
    time_s = np.array(times_s)
    values = {"test_accuracy": accuracies, "test_loss": losses, "train_loss": losses}
    spent = np.linspace(0, gradients, len(times_s))
    evaluations = pd.DataFrame({"time_s": time_s} | values).assign(
        gradients=spent, bytes_sent=spent * 1000.0, worker_seconds=num_workers * time_s
    )
    outcomes = {
        "gradients": float(gradients),
        "steps": gradients / 2,
        "bytes_sent": gradients * 1000.0,
        "worker_seconds": num_workers * time_s[-1],
        "discarded": 0.0,
        "mean_staleness": 1.5,
        "waiting_share": 0.25,
    }
    for name, each in values.items():
        outcomes[name] = float(np.trapezoid(each, time_s) / time_s[-1])
        outcomes[f"{name}_end"] = each[-1]
        outcomes[f"{name}_best"] = max(each) if name == "test_accuracy" else min(each)
    workers = {
        "rank": [1, 2],
        "delayed": [True, False],
        "gradients": [gradients // 4, gradients - gradients // 4],
        "waiting_share": [0.1, 0.4],
    }
    course = {"time_s": [5.0, 10.0], "threshold": [1.0, 2.0], "staleness": [1.0, 0.5]}
    return Digest(
        path=path,
        status=status,
        engine=engine,
        config={
            "run": {"seed": seed, "time_limit_s": time_s[-1]},
            "method": {"preset": preset, "aggregation": "mean"},
            "data": {"dataset": "digits", "batch_size": 32} | data,
            "model": {"name": "lenet"},
            **settings,
        },
        num_workers=num_workers,
        duration_s=time_s[-1],
        outcomes=outcomes,
        evaluations=evaluations,
        course=pd.DataFrame(course).assign(gradients_per_s=10.0, steps_per_s=5.0),
        staleness_counts=np.array([50, 30, 20]),
        workers=pd.DataFrame(workers),
        flags=flags,
    )


@dataclass
class MadeStudy:
    """A study that grows run by run."""

    folder: Path
    places: dict[Place, Path] = field(default_factory=dict)
    digests: dict[Path, Digest] = field(default_factory=dict)

    def add(self, variant: str, cell: Cell, seed: int, mean: float = 0.5, **changes: Any) -> Path:
        """Add a run whose interval mean of test accuracy is `mean`."""
        path = self.folder / f"{len(self.places)}-{variant}-{seed}.h5"
        path.touch()
        self.places[Place(variant, cell, seed)] = path
        given = {"preset": variant.partition("-")[0], "accuracies": (mean, mean, mean)} | changes
        self.digests[path] = made_digest(path, **({"seed": seed} | given))
        return path

    def add_pairs(self, cell: Cell, gains: Sequence[float], **changes: Any) -> None:
        """Add `async` at 0.5, more with each seed, and `hybrid` better by these gains."""
        for seed, gain in enumerate(gains):
            self.add("async", cell, seed, 0.5 + seed / 100)
            self.add("hybrid", cell, seed, 0.5 + seed / 100 + gain, **changes)

    def declare(self, variant: str, cell: Cell, seed: int, path: Path | None = None) -> None:
        """Declare a run that isn't there, or that another place has too."""
        self.places[Place(variant, cell, seed)] = path or self.folder / "missing.h5"

    def study(self, question: Question | None = None, **changes: Any) -> Study:
        """Return the study so far."""
        return Study(dict(self.places), question, **changes)


@pytest.fixture
def made(tmp_path: Path) -> MadeStudy:
    """Return a study without any runs."""
    return MadeStudy(tmp_path)


@pytest.fixture
def digest_of(tmp_path: Path) -> Callable[..., Digest]:
    """Return the function that makes a digest; each gets a file of its own."""
    numbers = iter(range(1000))

    def make(**changes: Any) -> Digest:
        return made_digest(tmp_path / f"run{next(numbers)}.h5", **changes)

    return make
