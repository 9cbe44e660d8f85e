"""What a declared family of paired comparisons decides about the primary outcome.

Each comparison faces two tests. The deciding one, the sign-flip permutation test, asks whether
there is a difference; two one-sided t tests (TOST) ask whether it is smaller than a margin. Both
are adjusted by Holm over all comparisons of the family, each kind by itself:

- better or worse: the adjusted sign-flip p value is at most the level; the side is that of the
  mean. This comes first, so a difference that is shown to be both there and within the margin is
  better or worse, and its equivalence p value says the rest.
- equivalent: else, the adjusted TOST p value is at most the level.
- undecided: neither.

The probability of one or more wrong "better" or "worse" in the family is at most the level, and so
is that of one or more wrong "equivalent". TOST's own two tests need no further adjustment, as both
must reject (an intersection-union test). No comparison is open to both errors, having no difference
and one of the margin or more. So only in a family that has comparisons of both kinds can the
probability of any wrong verdict exceed the level, up to twice the level at the very worst. To
exclude that too, each difference would have to face level / m, however many others are found,
which is not Holm's test. The side of a difference is wrong with at most half the level in a single
test; over a family that holds under the conditions of Shaffer 1980 and Finner 1999.

The sign-flip test is exact whatever the distribution; TOST takes the differences to be normal.

Source: Holm 1979; Schuirmann 1987; Berger and Hsu 1996, Bioequivalence trials,
intersection-union tests and equivalence confidence sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hybridmpi.experiments.holm import adjust_holm
from hybridmpi.experiments.paired import PairedComparison

Decision = Literal["better", "worse", "equivalent", "undecided", "identical"]
HALF_A_POINT = 0.005  # of accuracy, which is a fraction


@dataclass(frozen=True)
class Verdict:
    """What is decided about one comparison.

    Attributes:
        decision: None where there is no verdict.
        reason: Why there is none; empty where there is one.
        difference_p_value: Of the sign-flip test, adjusted; None in an incomplete family.
        equivalence_p_value: Of TOST, adjusted; None in an incomplete family.
    """

    decision: Decision | None
    reason: str = ""
    difference_p_value: float | None = None
    equivalence_p_value: float | None = None


def decide(
    family: Mapping[str, PairedComparison],
    higher_is_better: bool,
    margin: float = HALF_A_POINT,
    level: float = 0.05,
) -> dict[str, Verdict]:
    """Decide about all comparisons of a family, as the module's docstring says.

    There is no verdict if a declared pair is missing anywhere in the family: what is missing
    (runs that failed or diverged) is not missing at random, and whoever may leave comparisons out
    can choose the result. There is none either where the pairs are too few for the sign-flip test
    to reach the level, even if all comparisons came out as clear as they can. Comparisons that
    are identical are called so in any case.

    Args:
        family: All declared comparisons by name, also those without any runs (all missing).
        higher_is_better: True for accuracy, false for a loss.
        margin: Differences smaller than this don't matter, in the unit of the outcome.
        level: The error probability over the family.

    Raises:
        ValueError: If margin is not above 0, or level not between 0 and 1.
    """
    if not margin > 0 or not 0 < level < 1:
        raise ValueError(
            f"margin is {margin} and level {level}, but margin must be above 0 and level between "
            "0 and 1"
        )
    incomplete = [name for name, comparison in family.items() if comparison.num_missing]
    if incomplete:
        reason = f"the family is incomplete: pairs are missing in {', '.join(incomplete)}"
        return {
            name: Verdict("identical") if comparison.is_identical else Verdict(None, reason)
            for name, comparison in family.items()
        }
    return _decide_complete(family, higher_is_better, margin, level)


def _decide_complete(
    family: Mapping[str, PairedComparison], higher_is_better: bool, margin: float, level: float
) -> dict[str, Verdict]:
    comparisons = family.values()
    difference = adjust_holm([comparison.p_value for comparison in comparisons])
    equivalence = adjust_holm([each.equivalence_p_value(margin) for each in comparisons])
    smallest = adjust_holm([comparison.smallest_p_value for comparison in comparisons])
    verdicts = {}
    for i, (name, comparison) in enumerate(family.items()):
        p_values = float(difference[i]), float(equivalence[i])
        if smallest[i] > level and not comparison.is_identical:
            reason = (
                f"{comparison.num_pairs} pairs are too few: with {len(family)} in the family the "
                f"smallest possible p value is {smallest[i]:.3g}, above {level:g}"
            )
            verdicts[name] = Verdict(None, reason, *p_values)
        else:
            decision = _decide_one(comparison, higher_is_better, *p_values, level)
            verdicts[name] = Verdict(decision, "", *p_values)
    return verdicts


def _decide_one(
    comparison: PairedComparison,
    higher_is_better: bool,
    difference_p_value: float,
    equivalence_p_value: float,
    level: float,
) -> Decision:
    if comparison.is_identical:
        return "identical"
    if difference_p_value <= level:
        assert comparison.mean is not None, "a difference without pairs has the p value 1"
        return "better" if (comparison.mean > 0) == higher_is_better else "worse"
    return "equivalent" if equivalence_p_value <= level else "undecided"
