"""How well a calibrated machine gives back the run that it was fitted to."""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridmpi.config import Job
from hybridmpi.engines.calibration import Calibration, Values
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.runlog.reader import read_run
from hybridmpi.runlog.run import Run


@dataclass(frozen=True)
class Comparison:
    """A quantity of the recorded run, and the same of a simulated one on the fitted machine.

    Attributes:
        part: The part of the time model that it tells of.
        quantity: What it is.
        unit: Its unit: "ms", "/s", or "" for a number.
        recorded: Its value in the run.
        simulated: Its value on the fitted machine.
    """

    part: str
    quantity: str
    unit: str
    recorded: float
    simulated: float

    @property
    def difference(self) -> float:
        """How far off the simulated value is, as a share of the recorded one; NaN if that is 0."""
        return self.simulated / self.recorded - 1 if self.recorded else math.nan


def compare(run: Run, job: Job, calibration: Calibration) -> list[Comparison]:
    """Simulate the recorded job on the fitted machine, without learning, and compare."""
    simulated = simulate_like(run, job, calibration)
    compared: list[Comparison] = []

    def add(part: str, quantity: str, unit: str, of: Callable[[Run], float]) -> None:
        compared.append(Comparison(part, quantity, unit, of(run), of(simulated)))

    add("compute", "mean", "ms", _milliseconds("compute_s", np.mean))
    add("compute", "95 % take at most", "ms", _milliseconds("compute_s", _slow))
    add("cores", "workers computing, mean", "", _computing)
    add("messages", "wait for a release, mean", "ms", _milliseconds("wait_s", np.mean))
    add("server", "busy per gradient, mean", "ms", _milliseconds("server_s", np.mean))
    add("all", "gradients", "/s", lambda run: len(run.gradients) / run.duration_s)
    add("all", "steps", "/s", lambda run: len(run.steps) / run.duration_s)
    timeline = calibration.timeline
    is_delayed = (timeline.drawn_delay_s > 0) & np.isfinite(timeline.delay_s)
    if is_delayed.any():
        found_s = timeline.delay_s[is_delayed].mean()
        drawn_s = timeline.drawn_delay_s[is_delayed].mean()
        compared.append(Comparison("delays", "mean", "ms", 1e3 * found_s, 1e3 * drawn_s))
    return compared


def simulate_like(run: Run, job: Job, calibration: Calibration) -> Run:
    """Return the run of a job on the fitted machine, as many gradients as were recorded.

    Without learning: the protocol's times do not depend on it.
    """
    machine = {"learning": False, "message_bytes": 4 * run.layout["size"] or 1}
    ends = {"gradient_limit": len(run.gradients), "keep_snapshots": False}
    others = dict.fromkeys(("time_limit_s", "step_limit", "epoch_limit"))
    changed = job.model_copy(
        update={
            "run": job.run.model_copy(update=ends | others),
            "simulate": calibration.section.model_copy(update=machine),
            "evaluation": type(job.evaluation)(),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simulated.h5"
        Simulation(changed).run(path)
        return read_run(path)


def _slow(values: Values) -> float:
    return float(np.quantile(values, 0.95))


def _milliseconds(column: str, of: Callable[[Values], float]) -> Callable[[Run], float]:
    return lambda run: 1e3 * float(of(run.gradients[column].to_numpy()))


def _computing(run: Run) -> float:
    """Return how many workers computed at a time, on average: utilisation times workers."""
    return float(run.gradients.compute_s.sum() / run.duration_s)
