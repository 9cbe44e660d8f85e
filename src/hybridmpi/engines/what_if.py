"""A recorded run's compute times under another method: a simulated run."""

from collections.abc import Callable
from pathlib import Path

from hybridmpi.config import Job
from hybridmpi.engines.outcome import Outcome
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.engines.simulate.times import RecordedTimes, Times
from hybridmpi.engines.status import Report
from hybridmpi.errors import UserError
from hybridmpi.runlog.run import Run


def what_if(
    run: Run,
    job: Job,
    output: Path,
    *,
    force: bool = False,
    interrupted: Callable[[], str] = lambda: "",
    report: Report = lambda _: None,
) -> tuple[Outcome, int, int]:
    """Simulate `job` with the compute times that each worker of a recorded run had.

    Returns:
        How the run ended, how many compute times were used, and how many of them were resampled
        from the worker's own, since those recorded had run out.

    Raises:
        UserError: If some worker has no recorded time, or the job cannot be simulated.
    """
    num_workers = int(run.attributes["num_workers"])
    by_worker = run.gradients.groupby("worker").compute_s
    recorded_s = {int(worker): times.tolist() for worker, times in by_worker}
    missing = sorted(set(range(1, num_workers + 1)) - recorded_s.keys())
    if missing:
        raise UserError(
            f"'{run.path}' has no compute time of worker {missing[0]}; replay a longer run"
        )
    section = job.simulate.model_copy(update={"workers": num_workers})
    job = job.model_copy(update={"simulate": section})
    kept: list[RecordedTimes] = []

    def times(modelled: Times) -> Times:
        kept.append(RecordedTimes(modelled, recorded_s, job.run.seed))
        return kept[0]

    simulation = Simulation(job, times=times)
    outcome = simulation.run(
        output,
        force=force,
        interrupted=interrupted,
        report=report,
        attributes={"compute_times_of": str(run.path.name)},
    )
    return outcome, kept[0].used, kept[0].resampled
