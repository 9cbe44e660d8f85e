"""A recorded run's compute times under another method: a simulated run.

Where workers shared cores, what counts is the work of each batch, not the time it took beside the
others: the other method will let others compute beside it.
"""

from collections.abc import Callable
from pathlib import Path

from hybridmpi.config import Job
from hybridmpi.config.job import CheckpointSection
from hybridmpi.config.load import change_job
from hybridmpi.config.simulate import SimulateSection
from hybridmpi.engines.calibration import calibrate, reconstruct
from hybridmpi.engines.outcome import Outcome
from hybridmpi.engines.provenance import find_own_code
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.engines.simulate.times import RecordedTimes, Times
from hybridmpi.engines.status import Report
from hybridmpi.errors import UserError
from hybridmpi.learning.problem import Problem
from hybridmpi.runlog.run import Run


def machine_of(run: Run) -> SimulateSection:
    """Return the machine of a run: of a simulated one its own, under MPI the calibrated one.

    Raises:
        UserError: If the run is too short for that.
    """
    job = change_job(run.config, (), str(run.path))
    return job.simulate if run.attributes["engine"] == "simulate" else calibrate(run, job).section


def what_if(
    run: Run,
    job: Job,
    output: Path,
    *,
    problem: Problem | None = None,
    force: bool = False,
    interrupted: Callable[[], str] = lambda: "",
    report: Report = lambda _: None,
) -> tuple[Outcome, int, int]:
    """Simulate `job` with the compute times that each worker of a recorded run had.

    Args:
        run: The recorded run.
        job: What is asked, with its machine (`machine_of` gives the recorded one); the number of
            workers is the recorded one, where it does not say.
        output: The run file of what would have been.
        problem: What is learned, if that is an object of a script's.
        force: Replace a file that is there already.
        interrupted: Asked now and then; a reason ends the run with status `stopped`.
        report: Told now and then how the run is doing.

    Returns:
        How the run ended, how many compute times were used, and how many of them were drawn from
        the worker's own, since the batch has no recorded one.

    Raises:
        UserError: If some worker has no recorded time, the job asks for another number of workers,
            or it cannot be simulated.
    """
    find_own_code(run.attributes)
    num_workers = int(run.attributes["num_workers"])
    recorded_s = _compute_times(run, num_workers)
    job = _with_workers(job, num_workers, run)
    kept: list[RecordedTimes] = []

    def times(modelled: Times) -> Times:
        kept.append(RecordedTimes(modelled, recorded_s, job.run.seed))
        return kept[0]

    job = job.model_copy(update={"checkpoint": CheckpointSection()})  # they lack recorded times
    simulation = Simulation(job, problem=problem, times=times)
    outcome = simulation.run(
        output,
        force=force,
        interrupted=interrupted,
        report=report,
        attributes={"compute_times_of": str(run.path.name)},
    )
    return outcome, kept[0].used, kept[0].resampled


def _compute_times(run: Run, num_workers: int) -> dict[int, dict[int, float]]:
    """Return the seconds on a core of its own of each worker's batches, by batch number."""
    recorded_s: dict[int, dict[int, float]] = {w: {} for w in range(1, num_workers + 1)}
    work_s = reconstruct(run, change_job(run.config, (), str(run.path))).work_s.tolist()
    columns = (run.gradients[name].tolist() for name in ("worker", "batch"))
    for worker, batch, taken_s in zip(*columns, work_s, strict=True):
        recorded_s[worker][batch] = taken_s
    for worker, times in recorded_s.items():
        if not times:
            raise UserError(
                f"'{run.path}' has no compute time of worker {worker}; replay a longer run"
            )
    return recorded_s


def _with_workers(job: Job, num_workers: int, run: Run) -> Job:
    section = job.simulate
    if "workers" in section.model_fields_set and section.workers != num_workers:
        raise UserError(
            f"simulate.workers is {section.workers}, but '{run.path}' has the compute times of "
            f"{num_workers} workers; leave simulate.workers out, or give numbers of your own to "
            "hybridmpi simulate"
        )
    section = section.model_copy(update={"workers": num_workers})
    return job.model_copy(update={"simulate": section})
