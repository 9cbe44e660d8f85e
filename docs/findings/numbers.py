"""The numbers of an experiment as CSV files, and a study made of them again.

All that the page says and shows is made from these files and the experiments' own, so that it can
be made and checked without the runs.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from findings.experiments import planned
from findings.fairness import FAIRNESS, fairness
from hybridmpi.config.load import parse_job
from hybridmpi.experiments.arms import Digests
from hybridmpi.experiments.digest import digest_files
from hybridmpi.experiments.outcomes import outcomes
from hybridmpi.experiments.plan import Plan, PlannedRun
from hybridmpi.experiments.plan_file import read_plan, read_study
from hybridmpi.experiments.report.findings import Findings, find
from hybridmpi.experiments.study import Digest, Place, Study
from hybridmpi.runlog.reader import read_run

OUTCOMES = (
    *(
        f"{metric}{of}"
        for of in ("", "_end")
        for metric in ("test_accuracy", "test_loss", "train_loss")
    ),
    "gradients",
    "steps",
    "discarded",
    "mean_staleness",
    "waiting_share",
)
CURVES = ("time_s", "test_accuracy", "test_loss", "train_loss")
# Curves are drawn of these; their evaluations are kept, too.
WITH_CURVES = ("significance", "significance-best", "long_run")
# Of these it is asked how the delayed workers' data fared.
WITH_FAIRNESS = ("noniid",)
_MEASURED = {"status", "flags", *OUTCOMES, *FAIRNESS, *CURVES}
Key = tuple[str, ...]


def write_numbers(name: str, experiment: Path, folder: Path) -> None:
    """Write the CSV files of an experiment from its run files.

    Args:
        name: Of the experiment.
        experiment: Its folder, all of whose runs are there.
        folder: Where the CSV files go.
    """
    study = read_study(experiment)
    digests, _ = digest_files(path for path in study.places.values() if path.exists())
    runs = outcomes(study, digests)
    axes = [field for field, _ in study.cells[0]]
    kept = runs.reindex(columns=["method", *axes, "seed", "status", "flags", *OUTCOMES])
    if name in WITH_FAIRNESS:
        kept = kept.join(pd.DataFrame(map(_fairness_of, study.places.values())))
    _write(kept, folder / f"{name}.csv")
    if name in WITH_CURVES:
        _write(pd.concat(_curves(study, digests)), folder / f"{name}-curves.csv")
    if read_plan(experiment)["tuning"]:
        _write(pd.DataFrame(_tuning_runs(experiment)), folder / f"{name}-tuning.csv")


def _fairness_of(path: Path) -> dict[str, float]:
    run = read_run(path)
    return fairness(run, parse_job(run.config, str(path))) if run.status == "complete" else {}


def _curves(study: Study, digests: Digests) -> Iterator[pd.DataFrame]:
    for place, path in study.places.items():
        if path in digests:
            where = {"method": place.variant, **dict(place.cell), "seed": place.seed}
            yield digests[path].evaluations[[*CURVES]].assign(**where)[[*where, *CURVES]]


def _tuning_runs(experiment: Path) -> Iterator[dict[str, object]]:
    for given in read_plan(experiment)["tuning"]:
        run = read_run(experiment / given["file"])
        yield {
            "method": given["variant"],
            **given["cell"],
            "seed": given["seed"],
            "status": run.status,
            "test_accuracy": run.interval_mean("test_accuracy"),
        }


def _write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


@cache
def findings_of(name: str, folder: Path) -> Findings | None:
    """Return what an experiment has found; None if its CSV file isn't there.

    Raises:
        ValueError: If the file doesn't hold just the runs that the experiment declares.
    """
    path = folder / f"{name}.csv"
    if not path.exists():
        return None
    plan = planned(name)
    runs = _runs_by_key(plan)
    rows = {_key(row): row for row in _records(path)}
    if rows.keys() != runs.keys():
        raise ValueError(f"{path} doesn't hold just the runs that {name}.toml declares; run it")
    curves = _curves_by_key(folder / f"{name}-curves.csv")
    places = {place: Path(run.file) for place, run in runs.values()}
    digests = {
        Path(run.file): _digest(rows[key], run, curves.get(key, _ends(run)))
        for key, (_, run) in runs.items()
    }
    return find(Study(places, plan.question), digests)


def tuning_of(name: str, folder: Path) -> list[dict[str, str]]:
    """Return the runs that tuned, one row each, as text."""
    return _records(folder / f"{name}-tuning.csv")


def _records(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as text; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _curves_by_key(path: Path) -> dict[Key, pd.DataFrame]:
    curves = defaultdict(list)
    for row in _records(path):
        curves[_key(row)].append({column: float(row[column]) for column in CURVES})
    return {key: pd.DataFrame(rows, columns=[*CURVES]) for key, rows in curves.items()}


def _ends(run: PlannedRun) -> pd.DataFrame:
    """Return the evaluations of a run of which none are kept: when they began and ended."""
    return pd.DataFrame({"time_s": [0.0, run.job.run.time_limit_s]}).reindex(columns=[*CURVES])


def _runs_by_key(plan: Plan) -> dict[Key, tuple[Place, PlannedRun]]:
    """Return the runs that decide, in the order of declaration."""
    variants = list(plan.experiment.variants)
    places = [(place, run) for run in plan.runs if not run.is_tuning for place in run.places]
    places.sort(key=lambda item: variants.index(item[0].variant))
    return {
        (place.variant, *(_text(value) for _, value in place.cell), _text(place.seed)): (place, run)
        for place, run in places
    }


def _key(row: dict[str, str]) -> Key:
    where = (column for column in row if column not in _MEASURED)
    return tuple(_text(row[column]) if column != "method" else row[column] for column in where)


def _text(value: object) -> str:
    """Return one text for all ways to write a number."""
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return str(value)


def _digest(row: dict[str, str], run: PlannedRun, evaluations: pd.DataFrame) -> Digest:
    return Digest(
        path=Path(run.file),
        status=row["status"],
        engine="simulate",
        config=run.job.model_dump(mode="json"),
        num_workers=run.job.simulate.workers,
        duration_s=run.job.run.time_limit_s or np.nan,
        outcomes={
            name: float(row[name] or np.nan) for name in (*OUTCOMES, *FAIRNESS) if name in row
        },
        evaluations=evaluations,
        course=pd.DataFrame(),
        staleness_counts=np.zeros(0, np.int64),
        workers=pd.DataFrame(),
        flags=tuple(filter(None, row["flags"].split(", "))),
    )
