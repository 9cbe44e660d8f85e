"""A recorded run, and the quantities that results are made of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridmpi.core.metrics import Metric
from hybridmpi.errors import UserError, nearest
from hybridmpi.runlog.attributes import Attributes
from hybridmpi.runlog.reading.process import read


@dataclass(frozen=True)
class Accounting:
    """Where the pushed gradients went: pushed = stepped + discarded + buffered."""

    pushed: int
    stepped: int
    discarded: int
    buffered: int


@dataclass(frozen=True)
class Run:
    """What a run file holds. The tables' columns are described in `runlog.schema`.

    Attributes:
        path: The run file.
        status: running (also of a run that was killed), complete, stopped or failed.
        config: The job.
        attributes: All other attributes of the run: versions, hosts, start time, duration_s.
        metrics: What the run was measured by: the columns of `evaluations` that say how good it
            was, the one that decides by default first.
        layout: How parameters lie in a vector: num_parameters, size, entries.
        gradients: One row per push, in the order of arrival.
        steps: One row per optimizer step.
        evaluations: One row per evaluated snapshot.
        workers: One row per worker.
        events: One row per event.
        snapshots: time_s and version of each kept snapshot; see `snapshot`.
        final: The parameters at the end, float32, shape [size]; None while there are none.
        final_version: Their version, -1 while there are none.
    """

    path: Path
    status: str
    config: dict[str, Any]
    attributes: Attributes
    metrics: tuple[Metric, ...]
    layout: dict[str, Any]
    gradients: pd.DataFrame
    steps: pd.DataFrame
    evaluations: pd.DataFrame
    workers: pd.DataFrame
    events: pd.DataFrame
    snapshots: pd.DataFrame
    final: NDArray[np.float32] | None
    final_version: int

    @property
    def duration_s(self) -> float:
        """Seconds of training: as recorded at the end, or up to the last row so far."""
        if "duration_s" in self.attributes:
            return float(self.attributes["duration_s"])
        tables = (self.gradients, self.steps, self.evaluations)
        return max((float(table.time_s.max()) for table in tables if len(table)), default=0.0)

    @property
    def evaluated_on(self) -> str:
        """The set that metrics named test_... are of: test, or validation for a tuning run."""
        return str(self.attributes.get("evaluated_on", "test"))

    def setting(self, section: str, field: str) -> str:
        """Return a field of the job as text, "unknown" where the run file doesn't say."""
        value = self.config.get(section, {}).get(field)
        return "unknown" if value is None else str(value)

    @property
    def learned(self) -> dict[str, str]:
        """What was learned: the names of data set and model of images, else of the problem."""
        if "dataset" in self.config.get("data", {}) or "problem" not in self.config:
            return {
                "dataset": self.setting("data", "dataset"),
                "model": self.setting("model", "name"),
            }
        return {"problem": self.setting("problem", "name")}

    def accounting(self) -> Accounting:
        """Count the gradients by where they went."""
        accepted = self.gradients.accepted
        is_stepped = self.gradients.step >= 0
        return Accounting(
            pushed=len(self.gradients),
            stepped=int(is_stepped.sum()),
            discarded=int((~accepted).sum()),
            buffered=int((accepted & ~is_stepped).sum()),
        )

    def interval_mean(self, column: str) -> float:
        """Return the time-weighted mean (trapezoid) of a column over the evaluation grid.

        Args:
            column: Of `evaluations`, for example test_accuracy.

        Returns:
            The mean; NaN with fewer than two evaluations, since they span no interval.

        Raises:
            UserError: If there is no such column.
        """
        if column not in self.evaluations:
            raise UserError(
                f"evaluations have no column '{column}'; {nearest(column, self.evaluations)}"
            )
        grid = self.evaluations.sort_values("time_s", kind="stable")
        time_s = grid.time_s.to_numpy()
        interval_s = time_s[-1] - time_s[0] if len(time_s) else 0.0
        if interval_s == 0:
            return float("nan")
        return float(np.trapezoid(grid[column].to_numpy(), time_s) / interval_s)

    def snapshot(self, version: int) -> NDArray[np.float32]:
        """Read the parameters of a kept snapshot, float32, shape [size].

        Raises:
            UserError: If no snapshot of that version was kept.
        """
        numbers = np.flatnonzero(self.snapshots.version == version)
        if not numbers.size:
            kept = ", ".join(map(str, self.snapshots.version.unique())) or "none"
            raise UserError(f"'{self.path}' holds no snapshot of version {version}; kept: {kept}")
        parameters: NDArray[np.float32] = read("snapshot", self.path, int(numbers[0])).arrays[
            "snapshot"
        ]
        return parameters
