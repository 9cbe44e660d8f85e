"""What a report is made from: runs in their places, and what is to be decided about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridmpi.core.metrics import CLASSIFICATION, Metric

Cell = tuple[tuple[str, Any], ...]
"""One value for each axis, in the order of the axes: (("data.batch_size", 32), ...)."""


@dataclass(frozen=True)
class Place:
    """Where a run belongs in an experiment.

    Attributes:
        variant: Name of the method.
        cell: The values of the axes.
        seed: The run's seed; runs of one cell with one seed are a pair.
    """

    variant: str
    cell: Cell
    seed: int


@dataclass(frozen=True)
class Question:
    """What is to be decided, fixed before the runs.

    Attributes:
        reference: The variant that all others are compared with.
        variants: Those that a verdict is asked for; with all cells they are the family.
        outcome: The deciding outcome, a column of `evaluations`: its interval mean counts.
        targets: Values to reach, by column of `evaluations`.
        margin: Differences of the outcome smaller than this don't matter.
        level: Error probability over the family.
    """

    reference: str
    variants: tuple[str, ...]
    outcome: str = "test_accuracy"
    targets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    margin: float = 0.005
    level: float = 0.05


@dataclass(frozen=True)
class Tuning:
    """Which value of a field each method does best with, by runs of their own.

    Attributes:
        axis: The field.
        values: All values tried, ascending.
        best: The best value for each variant and cell; the cell lacks this axis.
        outcome: What was maximised or minimised, on the validation split.
        num_seeds: How many seeds of their own the runs had.
    """

    axis: str
    values: tuple[float, ...]
    best: Mapping[tuple[str, Cell], float]
    outcome: str
    num_seeds: int


@dataclass(frozen=True)
class Study:
    """Declared runs and the question about them.

    Attributes:
        places: The run file of every declared run, whether it is there or not; places that
            resolve to the same protocol share a file.
        question: What is to be decided; None where nothing was declared, as for a list of files.
        tuning: Each method's own best value of a field, if that was asked for.
        problems: What is wrong with the runs as a whole, in sentences.
    """

    places: Mapping[Place, Path]
    question: Question | None = None
    tuning: Tuning | None = None
    problems: tuple[str, ...] = ()

    @property
    def variants(self) -> list[str]:
        """The variants, the reference first, then in the order of declaration."""
        names = list(dict.fromkeys(place.variant for place in self.places))
        if self.question is not None and self.question.reference in names:
            names.remove(self.question.reference)
            names.insert(0, self.question.reference)
        return names

    @property
    def cells(self) -> list[Cell]:
        """The cells, in the order of declaration."""
        return list(dict.fromkeys(place.cell for place in self.places))

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return sorted({place.seed for place in self.places})


@dataclass(frozen=True)
class Digest:
    """What a report needs of one run file; small, however long the run was.

    Attributes:
        path: The run file.
        status: complete, stopped, failed or running.
        engine: mpi or simulate.
        config: The job.
        num_workers: Number of workers.
        duration_s: Seconds of training.
        outcomes: Its numbers by name: for each metric m the interval mean (m), its value at the
            end (m_end) and its best (m_best); gradients, steps, bytes_sent, worker_seconds,
            discarded, mean_staleness, waiting_share.
        evaluations: Its evaluations, ascending in time_s, and what had been spent by then: columns
            gradients, bytes_sent and worker_seconds.
        course: Over equal bins of time, at whose ends time_s lies: threshold, staleness,
            gradients_per_s, steps_per_s.
        staleness_counts: How many gradients had staleness 0, 1, 2, ...
        workers: One row per worker: rank, delayed, gradients, waiting_share.
        flags: "diverged", "never learned", "lost workers"; empty for a run that can be relied on.
        metrics: What it was measured by, the one that decides by default first.
    """

    path: Path
    status: str
    engine: str
    config: Mapping[str, Any]
    num_workers: int
    duration_s: float
    outcomes: Mapping[str, float]
    evaluations: pd.DataFrame
    course: pd.DataFrame
    staleness_counts: NDArray[np.int64]
    workers: pd.DataFrame
    flags: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = CLASSIFICATION

    def values_of(self, metric: str) -> NDArray[np.float64]:
        """Return a metric at each evaluation, NaN of a run that is not measured by it."""
        if metric not in self.evaluations:
            return np.full(len(self.evaluations), np.nan)
        values: NDArray[np.float64] = self.evaluations[metric].to_numpy(np.float64)
        return values
