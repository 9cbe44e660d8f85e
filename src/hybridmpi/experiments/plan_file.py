"""plan.json and tuning.json: which run file belongs where, what is decided, what was tuned."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hybridmpi.errors import UserError
from hybridmpi.experiments.plan import Plan, cells_of
from hybridmpi.experiments.study import Cell, Place, Question, Study, Tuning
from hybridmpi.runlog.replacing import replacing

PLAN, TUNING = "plan.json", "tuning.json"


def as_json(plan: Plan) -> dict[str, Any]:
    """Return what plan.json holds of a plan."""
    content = {
        "experiment": plan.experiment.model_dump(mode="json", exclude={"job"}),
        "job": plan.base,
        "question": asdict(plan.question),
        "places": _places_as_json(plan, is_tuning=False),
        "tuning": _places_as_json(plan, is_tuning=True),
    }
    decoded: dict[str, Any] = json.loads(json.dumps(content, default=str))
    return decoded


def write_plan(folder: Path, plan: Plan) -> None:
    """Write plan.json, whole or not at all."""
    _write(folder / PLAN, as_json(plan))


def write_best(folder: Path, best: Mapping[tuple[str, Cell], float]) -> None:
    """Write tuning.json: the best value for each variant and cell."""
    rows = [
        {"variant": variant, "cell": dict(cell), "best": value}
        for (variant, cell), value in best.items()
    ]
    _write(folder / TUNING, rows)


def read_plan(folder: Path) -> dict[str, Any]:
    """Read plan.json.

    Raises:
        UserError: If it is not there, or is not one.
    """
    path = folder / PLAN
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict) or not {"places", "question"} <= content.keys():
            raise ValueError("it is not of `hybridmpi compare`")
    except FileNotFoundError:
        raise UserError(
            f"'{folder}' has no {PLAN}; name a folder that `hybridmpi compare` made with --out"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"'{path}' cannot be read: {error}; delete it and start `hybridmpi compare` again"
        ) from None
    return content


def files_by_place(content: Mapping[str, Any]) -> dict[tuple[Place, bool], str]:
    """Return the run file of each place in a plan.json, and of whether its run tunes."""
    return {
        (_place(given), is_tuning): given["file"]
        for part, is_tuning in (("places", False), ("tuning", True))
        for given in content.get(part, ())
    }


def read_study(folder: Path) -> Study:
    """Return the declared runs of an experiment's folder, whether they are there or not.

    Raises:
        UserError: If the folder holds no plan.
    """
    content = read_plan(folder)
    places = {_place(given): folder / given["file"] for given in content["places"]}
    if content["experiment"]["tune"] is None:
        return Study(places, _question(content))
    tuning = _read_tuning(folder, content["experiment"])
    problems = _tuning_problems(tuning, list(places), content["experiment"]["tune"])
    return Study(places, _question(content), tuning, problems)


def _places_as_json(plan: Plan, *, is_tuning: bool) -> list[dict[str, Any]]:
    """Return all places with their files, by variant, cell and seed in the order of declaration."""
    files = {
        place: run.file for run in plan.runs if run.is_tuning is is_tuning for place in run.places
    }
    variants, cells = list(plan.experiment.variants), cells_of(plan.experiment)
    ordered = sorted(
        files, key=lambda place: (variants.index(place.variant), cells.index(place.cell))
    )
    return [
        {
            "variant": place.variant,
            "cell": dict(place.cell),
            "seed": place.seed,
            "file": files[place],
        }
        for place in ordered
    ]


def _place(given: Mapping[str, Any]) -> Place:
    return Place(given["variant"], tuple(given["cell"].items()), given["seed"])


def _question(content: Mapping[str, Any]) -> Question:
    given = content["question"]
    targets = {name: tuple(values) for name, values in given["targets"].items()}
    return Question(**(given | {"variants": tuple(given["variants"]), "targets": targets}))


def _read_tuning(folder: Path, experiment: Mapping[str, Any]) -> Tuning | None:
    try:
        rows: Sequence[Mapping[str, Any]] = json.loads((folder / TUNING).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(
            f"'{folder / TUNING}' cannot be read: {error}; start `hybridmpi compare` again, which "
            "writes it anew"
        ) from None
    axis = experiment["tune"]
    return Tuning(
        axis=axis,
        values=tuple(sorted(experiment["axes"][axis])),
        best={(row["variant"], tuple(row["cell"].items())): row["best"] for row in rows},
        outcome=experiment["decision"]["outcome"],
        num_seeds=experiment["tune_seeds"],
    )


def _tuning_problems(tuning: Tuning | None, places: Iterable[Place], axis: str) -> tuple[str, ...]:
    if tuning is None:
        return (f"The runs that tune {axis} are not all there; no best value is known yet.",)
    asked = dict.fromkeys((place.variant, without(place.cell, axis)) for place in places)
    return tuple(
        f"No value of {axis} is best for {variant}{_in(cell)}: at each of them a run failed."
        for variant, cell in asked
        if (variant, cell) not in tuning.best
    )


def without(cell: Cell, axis: str) -> Cell:
    """Return a cell without one of its axes."""
    return tuple((name, value) for name, value in cell if name != axis)


def _in(cell: Cell) -> str:
    return f" at {', '.join(f'{name} = {value}' for name, value in cell)}" if cell else ""


def _write(path: Path, content: Any) -> None:
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
