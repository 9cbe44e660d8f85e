"""How long the runs of an experiment will take, from what is known of them."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from hybridmpi.config import Job
from hybridmpi.experiments.plan import Plan, PlannedRun
from hybridmpi.experiments.study import Cell

if TYPE_CHECKING:
    from hybridmpi.engines.status import Status

_PROBE_S = 2.0


@dataclass(frozen=True)
class Estimate:
    """Seconds of computing, and where the number is from."""

    seconds: float
    basis: str


def estimate(plan: Plan, todo: Iterable[PlannedRun], times: Mapping[str, float]) -> Estimate:
    """Estimate how long runs will take, one after the other.

    Args:
        plan: The experiment.
        todo: The runs to make.
        times: Seconds that runs which are there took, by file.

    Returns:
        The sum over runs. A run takes as long as those of its variant and cell that are there; or
        else as one run of its cell, whichever variant, that is tried for a few seconds. Under MPI
        it takes its time limit; loading and evaluation, which come on top, are not known.
    """
    todo = list(todo)
    if plan.experiment.engine == "mpi":
        limits = [run.job.run.time_limit_s or 0.0 for run in todo]
        return Estimate(sum(limits), "time limits; loading and evaluation come on top")
    made: defaultdict[tuple[str, Cell], list[float]] = defaultdict(list)
    for run in plan.runs:
        if run.file in times:
            made[run.places[0].variant, run.places[0].cell].append(times[run.file])
    tried: dict[Cell, float] = {}
    seconds = 0.0
    for run in todo:
        variant, cell = run.places[0].variant, run.places[0].cell
        if (variant, cell) in made:
            seconds += mean(made[variant, cell])
            continue
        if cell not in tried:
            tried[cell] = probe(run.job)
        seconds += tried[cell]
    bases = ["runs that are there"] if made else []
    bases += [f"trying one run of each cell for {_PROBE_S:g} s"] if tried else []
    return Estimate(seconds, " and ".join(bases))


def probe(job: Job) -> float:
    """Estimate how long a simulated run takes by its first few seconds and one evaluation.

    Raises:
        UserError: If the job's data or model cannot be had.
    """
    from hybridmpi.engines.simulate.simulate import Simulation

    limit_s, every_s = job.run.time_limit_s, job.evaluation.every_s
    assert limit_s is not None
    assert every_s is not None
    began_s = time.monotonic()
    simulation = Simulation(job)
    probing = _Probe()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "probe.h5"
        simulation.run(output, interrupted=probing.interrupted, report=probing.report)
    training_s = probing.training_s * max(1.0, limit_s / max(probing.reached_s, limit_s / 1000))
    evaluations = 1 + limit_s // every_s
    return probing.began_s - began_s + training_s + evaluations * probing.evaluation_s


class _Probe:
    """Follows a run, and ends its training after some seconds, its evaluation after one snapshot.

    Attributes:
        began_s: When training began.
        training_s: How long it has taken.
        reached_s: How far it came on its own clock.
        evaluation_s: How long one evaluation took.
    """

    def __init__(self) -> None:
        self.began_s = time.monotonic()
        self.training_s = self.reached_s = self.evaluation_s = 0.0
        self._evaluating_s: float | None = None

    def report(self, status: "Status") -> None:
        now_s = time.monotonic()
        if status.phase == "training":
            self.training_s, self.reached_s = now_s - self.began_s, status.time_s
        elif self._evaluating_s is None:
            self._evaluating_s = now_s
        else:
            self.evaluation_s = now_s - self._evaluating_s

    def interrupted(self) -> str:
        if self._evaluating_s is None:
            return "probed" if self.training_s > _PROBE_S else ""
        return "probed" if self.evaluation_s else ""
