"""One gain as it is drawn."""

from dataclasses import dataclass

from hybridmpi.core.metrics import TEST_ACCURACY
from hybridmpi.experiments.arms import Arm, is_flagged
from hybridmpi.experiments.metrics import shown
from hybridmpi.experiments.pairs import outcome_named, pair_runs
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.study import Cell


@dataclass(frozen=True)
class Gain:
    """A mean paired difference in test accuracy, in points.

    Attributes:
        mean: Method minus reference.
        half: Half of its 95 % interval.
        is_flagged: Whether a run of either can't be relied on.
    """

    mean: float
    half: float
    is_flagged: bool


def gain_of(found: Findings, method: str, cell: Cell) -> Gain | None:
    """Return a method's gain over the reference in a cell; None without pairs."""
    arms = Arm(method, cell), Arm(found.study.variants[0], cell)
    pairs = pair_runs(found.study, found.digests, *arms)
    difference = pairs.compare(outcome_named(TEST_ACCURACY.name))
    if difference.mean is None:
        return None
    low, high = difference.interval() or (difference.mean, difference.mean)
    scale, flagged = (
        shown(TEST_ACCURACY).scale,
        [is_flagged(found.study, found.digests, a) for a in arms],
    )
    return Gain(scale * difference.mean, scale * (high - low) / 2, any(flagged))
