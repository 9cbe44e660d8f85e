"""A job file for each run of an experiment, for those who make the runs otherwise: a scheduler."""

from pathlib import Path

from hybridmpi.config.resolved import resolved
from hybridmpi.errors import UserError
from hybridmpi.experiments.folder import locked, prepare
from hybridmpi.experiments.plan import Plan
from hybridmpi.experiments.plan_file import read_plan
from hybridmpi.runlog.replacing import replacing

JOBS = "jobs"


def write_job_files(plan: Plan, folder: Path, experiment_file: Path) -> Path:
    """Write the jobs of all runs, in the order in which they are made, as 0.toml, 1.toml, ...

    The run files of these jobs are those that `compare` and `report` look for.

    Args:
        plan: The experiment's runs.
        folder: The experiment's folder.
        experiment_file: The experiment file, of which the folder gets a copy.

    Returns:
        The folder of the job files.

    Raises:
        UserError: If the folder cannot be used, or runs are not made of ranks.
    """
    if plan.experiment.engine != "mpi":
        raise UserError(
            "only runs of engine = 'mpi' can be made from job files; simulated ones are shared out "
            "by: mpirun -n N python -m mpi4py.futures -m hybridmpi compare ..."
        )
    with locked(folder):
        plan = prepare(folder, plan, experiment_file)
        jobs = folder / JOBS
        jobs.mkdir(exist_ok=True)
        for number, run in enumerate(plan.in_order):
            place = run.job.run.model_copy(update={"output": str((folder / run.file).resolve())})
            with replacing(jobs / f"{number}.toml") as beside:
                beside.write_text(resolved(run.job.model_copy(update={"run": place})))
    return jobs


def ranks_of(jobs: Path) -> int | None:
    """Return of how many ranks the runs of a folder of job files are, if an experiment says so."""
    try:
        experiment = read_plan(jobs.parent)["experiment"]
    except UserError:
        return None
    return int(experiment["ranks"]) if jobs.name == JOBS else None
