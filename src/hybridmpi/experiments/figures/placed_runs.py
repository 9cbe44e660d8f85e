"""The runs of a study by method and cell, and their pairs with the reference."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybridmpi.experiments.study import Cell, Digest, Study

Digests = Mapping[Path, Digest]


def runs_at(study: Study, digests: Digests, variant: str, cell: Cell) -> dict[int, Digest]:
    """Return the runs of a method in a cell by seed, those that are there."""
    return {
        place.seed: digests[path]
        for place, path in study.places.items()
        if (place.variant, place.cell) == (variant, cell) and path in digests
    }


def seeds_at(study: Study, variant: str, cell: Cell) -> list[int]:
    """Return the declared seeds of a method in a cell, ascending."""
    places = study.places
    return sorted(p.seed for p in places if (p.variant, p.cell) == (variant, cell))


def outcomes_at(
    study: Study, digests: Digests, variant: str, cell: Cell, outcome: str
) -> NDArray[np.float64]:
    """Return an outcome for each declared seed, shape [seeds]; NaN for runs not complete."""
    runs = runs_at(study, digests, variant, cell)
    return np.array([_outcome(runs.get(seed), outcome) for seed in seeds_at(study, variant, cell)])


def paired_outcomes(
    study: Study, digests: Digests, variant: str, cell: Cell, outcome: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return an outcome of a method and of the reference for the method's declared seeds."""
    method = runs_at(study, digests, variant, cell)
    reference = runs_at(study, digests, reference_of(study), cell)
    seeds = seeds_at(study, variant, cell)
    return (
        np.array([_outcome(method.get(seed), outcome) for seed in seeds]),
        np.array([_outcome(reference.get(seed), outcome) for seed in seeds]),
    )


def is_flagged(study: Study, digests: Digests, variant: str, cell: Cell) -> bool:
    """Say whether a run of a method in a cell cannot be relied on."""
    return any(digest.flags for digest in runs_at(study, digests, variant, cell).values())


def reference_of(study: Study) -> str:
    """Return the declared reference; without one, the first variant."""
    return study.variants[0] if study.question is None else study.question.reference


def _outcome(digest: Digest | None, outcome: str) -> float:
    if digest is None or digest.status != "complete":
        return float("nan")
    return digest.outcomes.get(outcome, float("nan"))
