"""Makes the runs of an experiment that are missing."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hybridmpi.errors import RunFailed, UserError
from hybridmpi.experiments.folder import STOP, State, locked, prepare, state_of
from hybridmpi.experiments.plan import Plan, PlannedRun
from hybridmpi.experiments.plan_file import write_best
from hybridmpi.experiments.pool import pool
from hybridmpi.experiments.times import note_time
from hybridmpi.experiments.tuning import best_values
from hybridmpi.experiments.work import Ended, launch_run, simulate_run

Made = tuple[PlannedRun, Ended | Exception]
_LOOK_EVERY_S = 0.2


class Watcher(Protocol):
    """Shows how an experiment is doing."""

    def begin(self, total: int, finished: int) -> None:
        """Begin with so many runs in all, of which some are there already."""

    def tick(self) -> None:
        """Take note that time goes by; called several times a second."""

    def ended(self, run: PlannedRun, how: Ended | Exception) -> None:
        """Show how a run ended; an exception is an error of the program."""


@dataclass(frozen=True)
class Comparison:
    """What is there of an experiment.

    Attributes:
        states: The state of every run.
        broken: Runs that ended in an error of the program.
    """

    states: dict[PlannedRun, State]
    broken: dict[PlannedRun, Exception]

    def of(self, state: State) -> list[PlannedRun]:
        """Return the runs in a state."""
        return [run for run, own in self.states.items() if own == state]


def compare(
    plan: Plan,
    folder: Path,
    experiment_file: Path,
    *,
    processes: int,
    retry_failed: bool,
    interrupted: Callable[[], str],
    watcher: Watcher,
) -> Comparison:
    """Make the runs that are missing in an experiment's folder.

    Args:
        plan: The experiment's runs.
        folder: Where they go.
        experiment_file: The experiment file, of which the folder gets a copy.
        processes: How many runs are simulated at a time.
        retry_failed: Make failed runs again.
        interrupted: Asked several times a second; a reason ends it, and the runs that go on.
        watcher: Told how it is doing.

    Raises:
        UserError: If the folder cannot be used, or a run not be made, for want of data perhaps.
        RunFailed: If a process of ours was killed.
    """
    with locked(folder):
        plan = prepare(folder, plan, experiment_file)
        done: set[State] = {"complete"} if retry_failed else {"complete", "failed"}
        states = states_of(plan, folder)
        todo = [run for run in plan.in_order if states[run] not in done]
        watcher.begin(len(states), len(states) - len(todo))
        make = _simulated if plan.experiment.engine == "simulate" else _launched
        broken = {}
        with closing(make(plan, folder, todo, processes, interrupted, watcher)) as ends:
            for run, how in ends:
                watcher.ended(run, how)
                if isinstance(how, Ended):
                    note_time(folder, run.file, how)
                else:
                    broken[run] = how
                    (folder / run.file).unlink(missing_ok=True)
        states = states_of(plan, folder)
        _tune(plan, folder, states)
        return Comparison(states, broken)


def states_of(plan: Plan, folder: Path) -> dict[PlannedRun, State]:
    """Return the state of every run, in the order in which they are made."""
    return {run: state_of(folder / run.file, run) for run in plan.in_order}


def _simulated(
    plan: Plan,  # noqa: ARG001 - called as _launched is
    folder: Path,
    todo: Sequence[PlannedRun],
    processes: int,
    interrupted: Callable[[], str],
    watcher: Watcher,
) -> Generator[Made]:
    """Simulate runs, several at a time, and yield how each ended, as they end."""
    if not todo:
        return
    stop = folder / STOP
    with pool(min(processes, len(todo))) as executor:
        futures = {
            executor.submit(simulate_run, run.job, folder / run.file, stop): run for run in todo
        }
        try:
            yield from _ends(futures, interrupted, watcher)
        finally:
            stop.touch()  # runs that go on end soon, and those to come at once
    stop.unlink()


def _ends(
    futures: Mapping[Future[Ended], PlannedRun], interrupted: Callable[[], str], watcher: Watcher
) -> Generator[Made]:
    pending = set(futures)
    while pending and not interrupted():
        done, pending = wait(pending, _LOOK_EVERY_S, FIRST_COMPLETED)
        watcher.tick()
        for future in done:
            error = future.exception()
            if isinstance(error, BrokenExecutor):
                time.sleep(_LOOK_EVERY_S)  # the signal that ended it may be meant for us, too
                if interrupted():
                    return
                raise RunFailed(
                    "a process was killed, for want of memory perhaps: lower --processes, and "
                    "start again; what is there stays"
                )
            yield futures[future], _told(futures[future], error) or future.result()


def _launched(
    plan: Plan,
    folder: Path,
    todo: Sequence[PlannedRun],
    processes: int,  # noqa: ARG001 - one run has all cores
    interrupted: Callable[[], str],
    watcher: Watcher,
) -> Generator[Made]:
    """Run one after the other under mpirun, and yield how each ended."""
    ranks = plan.experiment.ranks
    assert ranks is not None
    for run in todo:
        watcher.tick()
        try:
            how: Ended | Exception = launch_run(run.job, folder / run.file, ranks)
        except Exception as error:
            how = _told(run, error) or error
        if interrupted():
            return
        yield run, how


def _told(run: PlannedRun, error: BaseException | None) -> Exception | None:
    """Return an error of the program; mistakes of the user, which concern all runs, are raised."""
    if isinstance(error, UserError):
        raise UserError(f"{run.file}: {error}") from None
    return error if isinstance(error, Exception) else None


def _tune(plan: Plan, folder: Path, states: Mapping[PlannedRun, State]) -> None:
    """Write down the best values, once all runs that tune have ended."""
    if plan.experiment.tune is None:
        return
    if all(state != "missing" for run, state in states.items() if run.is_tuning):
        write_best(folder, best_values(plan, folder))
