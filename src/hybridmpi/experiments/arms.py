"""The runs of a study, method by method and cell by cell."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import fmean

from hybridmpi.experiments.study import Cell, Digest, Place, Study

Digests = Mapping[Path, Digest]


@dataclass(frozen=True)
class Arm:
    """All runs of a method under the same conditions: they differ by seed only."""

    variant: str
    cell: Cell


def arms_of(study: Study) -> list[Arm]:
    """Return all arms, cell by cell, the reference first."""
    declared = {Arm(place.variant, place.cell) for place in study.places}
    arms = (Arm(variant, cell) for cell in study.cells for variant in study.variants)
    return [arm for arm in arms if arm in declared]


def places_of(study: Study, arm: Arm) -> list[Place]:
    """Return the declared runs of an arm by seed, ascending."""
    found = (place for place in study.places if arm == Arm(place.variant, place.cell))
    return sorted(found, key=lambda place: place.seed)


def runs_of(study: Study, digests: Digests, arm: Arm) -> list[Digest]:
    """Return an arm's runs that are there, by seed, however they ended."""
    paths = [study.places[place] for place in places_of(study, arm)]
    return [digests[path] for path in paths if path in digests]


def complete_runs(study: Study, digests: Digests, arm: Arm) -> list[Digest]:
    """Return an arm's runs that are complete, by seed."""
    return [run for run in runs_of(study, digests, arm) if run.status == "complete"]


def complete_run(study: Study, digests: Digests, place: Place) -> Digest | None:
    """Return the run of a place; None if it is missing or did not complete."""
    path = study.places.get(place)
    run = digests.get(path) if path is not None else None
    return run if run is not None and run.status == "complete" else None


def is_whole(study: Study, digests: Digests, arm: Arm) -> bool:
    """Say whether all declared runs of an arm, at least one, are complete."""
    places = places_of(study, arm)
    return bool(places) and len(complete_runs(study, digests, arm)) == len(places)


def mean_outcome(study: Study, digests: Digests, arm: Arm, outcome: str) -> float:
    """Return the mean of a number over the complete runs of an arm, at least one."""
    return fmean(run.outcomes.get(outcome, nan) for run in complete_runs(study, digests, arm))


def is_flagged(study: Study, digests: Digests, arm: Arm) -> bool:
    """Say whether a run of an arm cannot be relied on."""
    return any(run.flags for run in runs_of(study, digests, arm))
