"""Every method against the reference, and what that decides.

The family of declared comparisons holds each method that a verdict is asked for, in each cell. Two
names for the same run files are no comparison: they are called identical and are no part of it.

A verdict needs runs that can be relied on. None is given for "better" where a run of the reference
is flagged, for "worse" where one of the method is, and for "equivalent" where either is: so nobody
wins over runs that diverged, never learned or lost workers. To take verdicts away makes no error
more likely.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hybridmpi.experiments.arms import Arm, Digests, arms_of
from hybridmpi.experiments.metrics import ShownMetric, metric_named, metrics_in
from hybridmpi.experiments.names import arm_name
from hybridmpi.experiments.pairs import Pairs, outcome_named, pair_runs
from hybridmpi.experiments.study import Digest, Question, Study
from hybridmpi.experiments.verdict import Verdict, decide


@dataclass(frozen=True)
class Comparison:
    """A method and the reference under the same conditions.

    Attributes:
        method: The method's arm.
        reference: The reference's arm in the same cell.
        pairs: Their runs.
        verdict: About the question's outcome; None where nothing was asked.
    """

    method: Arm
    reference: Arm
    pairs: Pairs
    verdict: Verdict | None = None


def compare_all(study: Study, digests: Digests) -> list[Comparison]:
    """Compare all arms with the reference's of their cell, cell by cell.

    Raises:
        UserError: If the question is about something that the runs are not measured by.
    """
    if not study.variants:
        return []
    reference, *_ = study.variants
    comparisons = []
    for arm in arms_of(study):
        if arm.variant != reference:
            other = Arm(reference, arm.cell)
            pairs = pair_runs(study, digests, arm, other)
            comparisons.append(Comparison(arm, other, pairs))
    if study.question is None:
        return comparisons
    outcome = metric_named(study.question.outcome, metrics_in(digests))
    verdicts = _verdicts(study.question, outcome, comparisons)
    return [replace(each, verdict=verdicts.get(each.method)) for each in comparisons]


def _verdicts(
    question: Question, outcome: ShownMetric, comparisons: list[Comparison]
) -> dict[Arm, Verdict]:
    asked = {each.method: each for each in comparisons if each.method.variant in question.variants}
    same = {arm: Verdict("identical") for arm, each in asked.items() if each.pairs.are_same_runs}
    family = {arm: each for arm, each in asked.items() if arm not in same}
    return same | _decide_family(question, outcome, family)


def _decide_family(
    question: Question, outcome: ShownMetric, comparisons: Mapping[Arm, Comparison]
) -> dict[Arm, Verdict]:
    names = {arm_name(arm.variant, arm.cell): arm for arm in comparisons}
    family = {
        name: comparisons[arm].pairs.compare(outcome_named(question.outcome))
        for name, arm in names.items()
    }
    decided = decide(family, outcome.higher_is_better, question.margin, question.level)
    return {
        arm: _without_wins_over_flagged(decided[name], comparisons[arm].pairs)
        for name, arm in names.items()
    }


def _without_wins_over_flagged(verdict: Verdict, pairs: Pairs) -> Verdict:
    method, reference = flagged_runs(pairs.method), flagged_runs(pairs.reference)
    against = {
        "better": {"the reference": reference},
        "worse": {"the method": method},
        "equivalent": {"the reference": reference, "the method": method},
    }.get(verdict.decision or "", {})
    reasons = [f"{count} of {side}'s runs" for side, count in against.items() if count]
    if not reasons:
        return verdict
    reason = f"{' and '.join(reasons)} diverged, never learned or lost workers"
    return replace(verdict, decision=None, reason=reason)


def flagged_runs(runs: tuple[Digest | None, ...]) -> int:
    """Count the runs that cannot be relied on."""
    return sum(bool(run.flags) for run in runs if run is not None)
