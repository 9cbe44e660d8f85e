"""Runs of a method and of a reference, paired by seed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybridmpi.experiments.paired import PairedComparison, compare_pairs
from hybridmpi.experiments.study import Cell, Digest, Place, Study
from hybridmpi.experiments.worlds import world_differences

Digests = Mapping[Path, Digest]
Value = Callable[[Digest], float]
"""A number of a run, NaN where it has none."""


@dataclass(frozen=True)
class Arm:
    """All runs of a method under the same conditions: they differ by seed only."""

    variant: str
    cell: Cell


@dataclass(frozen=True)
class Pairs:
    """The runs of a method and a reference, seed by seed.

    Attributes:
        seeds: The declared seeds, ascending.
        method: The method's runs; None for one that is missing, unfinished, or of another world
            than its partner.
        reference: The reference's; None for one that is missing or unfinished.
        are_same_runs: Whether both name the same run files: they resolve to the same protocol.
    """

    seeds: tuple[int, ...]
    method: tuple[Digest | None, ...]
    reference: tuple[Digest | None, ...]
    are_same_runs: bool

    @property
    def seeds_without_pair(self) -> list[int]:
        """The seeds whose pair cannot be compared."""
        pairs = zip(self.seeds, self.method, self.reference, strict=True)
        return [seed for seed, own, other in pairs if own is None or other is None]

    def compare(self, value: Value) -> PairedComparison:
        """Compare a number of the runs, method minus reference."""
        return compare_pairs(_values(self.method, value), _values(self.reference, value))


def outcome_named(name: str) -> Value:
    """Return the function that takes an outcome from a run."""
    return lambda run: run.outcomes[name]


def arms_of(study: Study) -> list[Arm]:
    """Return all arms, cell by cell, the reference first."""
    declared = {Arm(place.variant, place.cell) for place in study.places}
    arms = (Arm(variant, cell) for cell in study.cells for variant in study.variants)
    return [arm for arm in arms if arm in declared]


def places_of(study: Study, arm: Arm) -> list[Place]:
    """Return the declared runs of an arm by seed, ascending."""
    found = (place for place in study.places if arm == Arm(place.variant, place.cell))
    return sorted(found, key=lambda place: place.seed)


def complete_runs(study: Study, digests: Digests, arm: Arm) -> list[Digest]:
    """Return an arm's runs that are complete, by seed."""
    places = places_of(study, arm)
    return [run for place in places if (run := complete_run(study, digests, place)) is not None]


def complete_run(study: Study, digests: Digests, place: Place) -> Digest | None:
    """Return the run of a place; None if it is missing or did not complete."""
    path = study.places.get(place)
    run = digests.get(path) if path is not None else None
    return run if run is not None and run.status == "complete" else None


def pair_runs(study: Study, digests: Digests, method: Arm, reference: Arm) -> Pairs:
    """Pair the runs of two arms over all seeds that are declared for either."""
    arms = [*places_of(study, method), *places_of(study, reference)]
    seeds = tuple(sorted({place.seed for place in arms}))
    own = [Place(method.variant, method.cell, seed) for seed in seeds]
    other = [Place(reference.variant, reference.cell, seed) for seed in seeds]
    others = [complete_run(study, digests, place) for place in other]
    return Pairs(
        seeds,
        tuple(
            _comparable(complete_run(study, digests, place), partner)
            for place, partner in zip(own, others, strict=True)
        ),
        tuple(others),
        all(
            study.places.get(one) == study.places.get(two)
            for one, two in zip(own, other, strict=True)
        ),
    )


def _comparable(run: Digest | None, partner: Digest | None) -> Digest | None:
    if run is not None and partner is not None and world_differences(run, partner):
        return None
    return run


def _values(runs: Iterable[Digest | None], value: Value) -> NDArray[np.float64]:
    return np.array([np.nan if run is None else value(run) for run in runs], dtype=np.float64)
