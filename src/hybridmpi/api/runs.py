"""One run: simulated, on real ranks, replayed, or under another method."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hybridmpi.api.jobs import JobLike, job_of, load_job, name_of
from hybridmpi.api.run import Run, read_run
from hybridmpi.api.surroundings import caller_undisturbed, interruptible
from hybridmpi.config.load import change_job
from hybridmpi.errors import RunFailed
from hybridmpi.runlog.replacing import check_free

if TYPE_CHECKING:
    from hybridmpi.engines.calibration import Calibration
    from hybridmpi.engines.replay import Verdict
    from hybridmpi.learning.problem import Problem

RunLike: TypeAlias = Run | str | os.PathLike[str]
"""A run, or the path of its file."""


def simulate(
    job: JobLike, problem: "Problem | None" = None, *, force: bool = False, **settings: Any
) -> Run:
    """Train on virtual time: gradients are computed, only time is modelled.

    Ctrl-C ends the run in order, its file as `stopped`, and then raises KeyboardInterrupt. Nothing
    global is left changed: torch's threads and settings, random generators, the current folder.

    Args:
        job: A TOML file, nested dicts with the same fields, or a job.
        problem: What is learned; by default what the job says.
        force: Replace the run file, `run.output` of the job, if it is there already.
        settings: What replaces fields of the job; see `load_job`.

    Raises:
        UserError: If the job is wrong, or its data, model or run file cannot be had.
        RunFailed: If the run failed, for instance since it diverged; its file says so.

    Example:
        >>> run = hybridmpi.simulate("jobs/quickstart.toml", method={"preset": "async"})
    """
    from hybridmpi.engines.simulate.simulate import Simulation

    checked = job_of(job, problem, settings)
    output = checked.output(name_of(job))
    with interruptible() as interrupted, caller_undisturbed():
        Simulation(checked, problem=problem).run(output, force=force, interrupted=interrupted)
    return read_run(output)


def launch(job: JobLike, *, ranks: int, force: bool = False, **settings: Any) -> Run:
    """Train on ranks of this machine, as `hybridmpi launch` does, from a notebook or a script.

    Args:
        job: A TOML file, nested dicts with the same fields, or a job.
        ranks: One parameter server and the workers.
        force: Replace the run file, `run.output` of the job, if it is there already.
        settings: What replaces fields of the job; see `load_job`.

    Raises:
        UserError: If the job is wrong, there is no mpirun that fits, or what the job names cannot
            be had.
        RunFailed: If the run failed; its file says so.
    """
    from hybridmpi.experiments.work import launch_run

    checked = load_job(job, **settings)
    output = checked.output(name_of(job))
    check_free(output, force)
    ended = launch_run(checked, output, ranks)
    if ended.status == "failed":
        raise RunFailed(ended.reason)
    return read_run(output)


def replay(
    run: RunLike,
    problem: "Problem | None" = None,
    *,
    data_root: str | os.PathLike[str] | None = None,
) -> "Verdict":
    """Compute a recorded run again, in its recorded order of arrival, and compare it bit for bit.

    Args:
        run: A run, or its file.
        problem: What was learned, if it was given as an object.
        data_root: Where the data lie now, if not where they were.

    Returns:
        What was found; `is_match` says whether every bit is as recorded.

    Raises:
        UserError: If the run has no gradients, or its data or model cannot be had.
    """
    from hybridmpi.engines.replay import replay as replay_run

    recorded = _run(run)
    moved = [f"data.root={os.fspath(data_root)}"] if data_root is not None else []
    with caller_undisturbed():
        job = change_job(recorded.config, moved, str(recorded.path))
        return replay_run(recorded, job, problem=problem)


def what_if(
    run: RunLike, problem: "Problem | None" = None, *, force: bool = False, **settings: Any
) -> Run:
    """Simulate a recorded run's compute times under another method.

    Args:
        run: A run, or its file.
        problem: What is learned, if it was given as an object.
        force: Replace the run file, `run.output`, if it is there already; by default it is
            RUN-what-if.h5, beside the recorded one.
        settings: What replaces fields of the run's job; see `load_job`.

    Raises:
        UserError: If the job is wrong, or the run has too few gradients.
        RunFailed: If the run failed; its file says so.

    Example:
        >>> hybridmpi.what_if("run.h5", method={"preset": "sync"})
    """
    from hybridmpi.engines.what_if import machine_of
    from hybridmpi.engines.what_if import what_if as simulate_run

    recorded = _run(run)
    beside = recorded.path.with_name(f"{recorded.path.stem}-what-if.h5")
    settings = {"run.output": str(beside), **settings}
    machine = machine_of(recorded).model_dump(mode="json", exclude={"workers"})
    job = load_job({**recorded.config, "simulate": machine}, **settings)
    output = job.output(recorded.path.stem)
    with interruptible() as interrupted, caller_undisturbed():
        simulate_run(recorded, job, output, problem=problem, force=force, interrupted=interrupted)
    return read_run(output)


def calibrate(run: RunLike, *others: RunLike) -> "Calibration":
    """Fit the simulator's machine to a run under MPI.

    Args:
        run: A run, or its file.
        others: Runs on the same machine with models of other sizes, which tell the latency of a
            message from bandwidth.

    Returns:
        The machine: its `section` is the job's [simulate], as in `simulate(job, simulate=...)`.

    Raises:
        UserError: If a run was simulated, or has too few gradients.
    """
    from hybridmpi.engines.calibration import calibrate as calibrate_run

    recorded = _run(run)
    job = change_job(recorded.config, (), str(recorded.path))
    return calibrate_run(recorded, job, [_run(other) for other in others])


def _run(run: RunLike) -> Run:
    return run if isinstance(run, Run) else read_run(Path(run))
