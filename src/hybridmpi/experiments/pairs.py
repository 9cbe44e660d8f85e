"""Runs of a method and of a reference, paired by seed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybridmpi.experiments.arms import Arm, Digests, complete_run, places_of
from hybridmpi.experiments.paired import PairedComparison, compare_pairs
from hybridmpi.experiments.study import Digest, Place, Study
from hybridmpi.experiments.worlds import world_differences

Value = Callable[[Digest], float]
"""A number of a run, NaN where it has none."""


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

    @property
    def whole(self) -> list[tuple[Digest, Digest]]:
        """The pairs that can be compared, each a run of the method and one of the reference."""
        pairs = zip(self.method, self.reference, strict=True)
        return [(own, other) for own, other in pairs if own is not None and other is not None]

    def compare(self, value: Value) -> PairedComparison:
        """Compare a number of the runs, method minus reference."""
        return compare_pairs(_values(self.method, value), _values(self.reference, value))


def outcome_named(name: str) -> Value:
    """Return the function that takes an outcome from a run; NaN from one without it."""
    return lambda run: run.outcomes.get(name, np.nan)


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
