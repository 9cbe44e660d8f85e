"""From an experiment to its runs: every place that is asked for, each protocol run once."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybridmpi.config import Job
from hybridmpi.config.experiment import Decision, Experiment, label
from hybridmpi.config.load import parse_job
from hybridmpi.config.overlay import field_as_table, overlay
from hybridmpi.core.metrics import FRACTION, Metric
from hybridmpi.errors import UserError
from hybridmpi.experiments.protocol import canonical, digest
from hybridmpi.experiments.study import Cell, Place, Question
from hybridmpi.experiments.verdict import HALF_A_POINT

_LONGEST_NAME = 100


@dataclass(frozen=True, eq=False)  # jobs and forms hold tables, which have no hash
class PlannedRun:
    """One run, whichever places it serves.

    Attributes:
        file: Its run file, relative to the experiment's folder.
        job: Its job.
        form: Its canonical form; see `protocol`.
        places: Where it belongs: several where they resolve to the same protocol.
        is_tuning: Whether it tunes instead of decides.
    """

    file: str
    job: Job
    form: Mapping[str, Any]
    places: tuple[Place, ...]
    is_tuning: bool


@dataclass(frozen=True)
class Plan:
    """All runs of an experiment.

    Attributes:
        experiment: The experiment, with the outcome that decides.
        base: The base job's fields, as given.
        outcome: The metric that decides.
        runs: In the order of declaration; those that tune come first.
    """

    experiment: Experiment
    base: Mapping[str, Any]
    outcome: Metric
    runs: tuple[PlannedRun, ...]

    @property
    def question(self) -> Question:
        """What is to be decided."""
        decision = self.experiment.decision
        return Question(
            reference=decision.reference,
            variants=self.experiment.compared,
            outcome=self.outcome.name,
            targets=dict(decision.targets),
            margin=decision.margin or HALF_A_POINT,
            level=decision.level,
        )

    @property
    def in_order(self) -> list[PlannedRun]:
        """The runs in the order in which they are made.

        Tuning comes first. Then all runs of a seed before those of the next, so that what is there
        when an experiment is cut short can be paired.
        """
        return sorted(self.runs, key=lambda run: (not run.is_tuning, run.places[0].seed))


def plan(experiment: Experiment, base: Mapping[str, Any]) -> Plan:
    """Resolve and check every run of an experiment.

    Args:
        experiment: The experiment.
        base: The fields of its base job, which need not be a whole job itself.

    Raises:
        UserError: If jobs are wrong, all of which are named, or don't share an evaluation grid.
    """
    from hybridmpi.engines.job_check import check_job

    jobs: dict[tuple[str, Cell], Job] = {}
    mistakes: dict[str, str] = {}  # by what is wrong, the first place where it is
    for variant, cell, tree in _resolved(experiment, base):
        where = _where(variant, cell)
        try:
            jobs[variant, cell] = job = parse_job(tree, where)
            _check_engine(experiment, job, where)
            check_job(job)
        except UserError as error:
            for line in str(error).splitlines():
                mistakes.setdefault(line.removeprefix(f"{where}: "), where)
    if mistakes:
        raise UserError("\n".join(f"{where}: {mistake}" for mistake, where in mistakes.items()))
    _check_grid(jobs)
    outcome = outcome_of(experiment.decision, _shared_metrics(jobs))
    decision = experiment.decision.model_copy(update={"outcome": outcome.name})
    experiment = experiment.model_copy(update={"decision": decision})
    tuning = []
    if experiment.tune is not None:
        held_out = {key: _with_validation(job, experiment) for key, job in jobs.items()}
        tuning = _runs(experiment, held_out, experiment.tuning_seeds, is_tuning=True)
    runs = _runs(experiment, jobs, experiment.seeds, is_tuning=False)
    return Plan(experiment, base, outcome, (*tuning, *runs))


def outcome_of(decision: Decision, metrics: Sequence[Metric]) -> Metric:
    """Return the metric that decides, by default the first.

    Raises:
        UserError: If the decision names something that is no metric of the runs, or lacks a margin.
    """
    known = {metric.name: metric for metric in metrics}
    for name in decision.targets:
        if name not in known:
            raise UserError(f"decision.targets: there is no metric '{name}'; {_allowed(known)}")
    name = decision.outcome or metrics[0].name
    if name not in known:
        raise UserError(f"decision.outcome: there is no metric '{name}'; {_allowed(known)}")
    if decision.margin is None and known[name].unit != FRACTION:
        raise UserError(
            f"decision: `margin` has no default for {name}; give the difference that is too small "
            "to matter"
        )
    return known[name]


def _allowed(names: Iterable[str]) -> str:
    return f"these runs are measured by {', '.join(names)}"


def _shared_metrics(jobs: Mapping[tuple[str, Cell], Job]) -> tuple[Metric, ...]:
    from hybridmpi.engines.metrics import metrics_of

    (first, metrics), *others = ((key, metrics_of(job)) for key, job in jobs.items())
    for key, own in others:
        if own != metrics:
            names = [", ".join(each.name for each in some) for some in (metrics, own)]
            raise UserError(
                f"what is compared must be measured alike, but {_where(*first)} is measured by "
                f"{names[0]}, and {_where(*key)} by {names[1]}; make two experiments of them"
            )
    return metrics


def cells_of(experiment: Experiment) -> list[Cell]:
    """Return all cells, the last axis changing fastest; a single empty one without axes."""
    values = [[(name, label(value)) for value in given] for name, given in experiment.axes.items()]
    return list(itertools.product(*values))


def _resolved(
    experiment: Experiment, base: Mapping[str, Any]
) -> Iterable[tuple[str, Cell, dict[str, Any]]]:
    """Yield each variant and cell with its job, not yet checked."""
    given = itertools.product(*experiment.axes.values())
    settings = list(zip(cells_of(experiment), given, strict=True))
    for name, variant in experiment.variants.items():
        for cell, values in settings:
            tree = overlay(base, variant)
            for axis, value in zip(experiment.axes, values, strict=True):
                tree = overlay(tree, field_as_table(axis, value))
            yield name, cell, tree


def _where(variant: str, cell: Cell) -> str:
    return ", ".join([f"variant '{variant}'", *(f"{name} = {value}" for name, value in cell)])


def _check_engine(experiment: Experiment, job: Job, where: str) -> None:
    if experiment.engine == "simulate" and not job.simulate.learning:
        raise UserError(f"{where}: simulate.learning is false, so that there is nothing to compare")


def _check_grid(jobs: Mapping[tuple[str, Cell], Job]) -> None:
    """Refuse runs whose interval means are not of the same interval."""
    first = next(iter(jobs))
    for key, job in jobs.items():
        run, grid = job.run, job.evaluation
        for name, value in (
            ("run.time_limit_s", run.time_limit_s),
            ("evaluation.every_s", grid.every_s),
        ):
            if value is None:
                raise UserError(
                    f"{_where(*key)}: {name} is missing; runs are compared over one evaluation "
                    "grid: give the base job a time limit and evaluation.every_s"
                )
        for name, value in (
            ("run.gradient_limit", run.gradient_limit),
            ("run.step_limit", run.step_limit),
            ("run.epoch_limit", run.epoch_limit),
            ("evaluation.every_steps", grid.every_steps),
        ):
            if value is not None:
                raise UserError(
                    f"{_where(*key)}: {name} gives each run an evaluation grid of its own; take "
                    "it out: run.time_limit_s and evaluation.every_s make one for all"
                )
        if _grid(job) != _grid(jobs[first]):
            raise UserError(
                "what is compared must share its evaluation grid, but run.time_limit_s and "
                f"evaluation.every_s are {_grid(jobs[first])} in {_where(*first)}, and "
                f"{_grid(job)} in {_where(*key)}; give them in the base job only"
            )


def _grid(job: Job) -> tuple[float | None, float | None]:
    return job.run.time_limit_s, job.evaluation.every_s


def _with_validation(job: Job, experiment: Experiment) -> Job:
    data = job.data.model_copy(update={"validation": experiment.validation})
    return job.model_copy(update={"data": data})


def _runs(
    experiment: Experiment,
    jobs: Mapping[tuple[str, Cell], Job],
    seeds: Sequence[int],
    *,
    is_tuning: bool,
) -> list[PlannedRun]:
    """Return the runs of all jobs with all seeds; places with one canonical form share one."""
    shared: dict[str, list[tuple[Place, Job, dict[str, Any]]]] = {}
    for (variant, cell), job in jobs.items():
        for seed in seeds:
            seeded = job.model_copy(update={"run": job.run.model_copy(update={"seed": seed})})
            form = canonical(seeded, experiment.engine, num_workers(experiment, job))
            place = Place(variant, cell, seed)
            shared.setdefault(digest(form), []).append((place, seeded, form))
    return [
        PlannedRun(
            f"runs/{_name(same[0][0], is_tuning)}-{key}.h5",
            same[0][1],
            same[0][2],
            tuple(place for place, _, _ in same),
            is_tuning,
        )
        for key, same in shared.items()
    ]


def num_workers(experiment: Experiment, job: Job) -> int:
    """Return the number of workers of a run."""
    return job.simulate.workers if experiment.ranks is None else experiment.ranks - 1


def _name(place: Place, is_tuning: bool) -> str:
    """Return a readable file name: the hash behind it tells files apart."""
    parts = [f"{axis.rpartition('.')[2]}{value}" for axis, value in place.cell]
    words = [*(["tune"] if is_tuning else []), place.variant, *parts]
    name = "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", word) for word in words)
    return f"{name[:_LONGEST_NAME]}-seed{place.seed}"
