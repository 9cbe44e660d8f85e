"""A study of run files that nobody declared: their jobs say what they are.

Variants are the methods, named by preset and by what differs within a preset. Cells are all other
fields in which the jobs differ and that count for the runs' engine (`config.changes`), but for
those that runs must share to be compared: two runs with another grid or another end are a mistake,
not two conditions.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hybridmpi.config.fields import changes_of
from hybridmpi.config.overlay import fields_of
from hybridmpi.experiments.names import listing
from hybridmpi.experiments.study import Cell, Digest, Place, Study

Fields = dict[str, Any]

_OF_ONE_RUN = ("run.seed", "simulate.trace")
_SHARED = ("run.", "evaluation.")
# With one gradient in each step, no method is left that these could change.
_WITHOUT_EFFECT_AT_ONE = ("method.aggregation", "method.after_push", "method.broadcast")


def study_of_runs(digests: Mapping[Path, Digest], problems: Iterable[str] = ()) -> Study:
    """Return the study of these runs: nothing was asked, so all in it is descriptive.

    Args:
        digests: The runs; of those in the same place the first counts.
        problems: What is wrong with further files.
    """
    fields = {path: _fields(run) for path, run in digests.items()}
    variants = _variants(fields)
    axes = _axes(fields)
    places: dict[Place, Path] = {}
    doubles = []
    for path, own in fields.items():
        cell: Cell = tuple((axis, own.get(axis)) for axis in axes)
        place = Place(variants[path], cell, own["run.seed"])
        if place in places:
            doubles.append(f"{path} (as {places[place]})")
        places.setdefault(place, path)
    if doubles:
        problems = [*problems, _doubles_problem(doubles)]
    return Study(_reference_first(places, digests), problems=tuple(problems))


def _doubles_problem(doubles: Sequence[str]) -> str:
    return (
        f"{len(doubles)} run files have the same job and seed as another one, and don't count: "
        f"{listing(doubles)}; name each run once."
    )


def _reference_first(
    places: Mapping[Place, Path], digests: Mapping[Path, Digest]
) -> dict[Place, Path]:
    """Order the places, asynchronous SGD in front, so that it is the reference."""

    def order(place: Place) -> tuple[Any, ...]:
        preset = digests[places[place]].config["method"]["preset"]
        values = [(type(value).__name__, value) for _, value in place.cell]
        return preset != "async", place.variant, values, place.seed

    return {place: places[place] for place in sorted(places, key=order)}


def _fields(run: Digest) -> Fields:
    """Return the fields of a job by dotted name, and the engine, as far as they matter."""
    given = {name: _hashable(value) for name, value in fields_of(run.config)}
    fields = given | {"engine": run.engine}
    if run.config["method"]["preset"] in {"async", "ringmaster"}:
        for name in _WITHOUT_EFFECT_AT_ONE:
            fields.pop(name, None)
    return fields


def _hashable(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, tuple)) else value


def _variants(fields: Mapping[Path, Fields]) -> dict[Path, str]:
    """Name each run's method: by its preset, and by what differs among runs of that preset."""
    by_preset = defaultdict(list)
    for path, own in fields.items():
        by_preset[own["method.preset"]].append(path)
    names = {}
    for preset, paths in by_preset.items():
        differing = _differing([fields[path] for path in paths], "method.")
        for path in paths:
            settings = [
                f"{name.removeprefix('method.')} {fields[path].get(name)}" for name in differing
            ]
            names[path] = f"{preset} ({', '.join(settings)})" if settings else preset
    return names


def _axes(fields: Mapping[Path, Fields]) -> list[str]:
    differing = _differing(list(fields.values()), "")
    passed_over = ("method.", *_SHARED, *_OF_ONE_RUN)
    return [name for name in differing if not name.startswith(passed_over)]


def _differing(jobs: Sequence[Fields], prefix: str) -> list[str]:
    names = dict.fromkeys(name for job in jobs for name in job if name.startswith(prefix))
    return [name for name in names if len(_values(jobs, name)) > 1]


def _values(jobs: Sequence[Fields], name: str) -> set[Any]:
    """Return the values of a field in the jobs of the runs for which it counts."""
    changes = changes_of(name)
    return {job.get(name) for job in jobs if changes.counts_for(job["engine"])}
