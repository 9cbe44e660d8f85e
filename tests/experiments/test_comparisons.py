from dataclasses import replace

import numpy as np
import pytest

from hybridmpi.experiments.comparisons import Comparison, compare_all
from hybridmpi.experiments.pairs import outcome_named
from hybridmpi.experiments.study import Question

QUESTION = Question("async", ("hybrid",))
GAINS = [0.01, 0.02, 0.03, 0.02, 0.01, 0.02, 0.03, 0.02]  # mean 0.02


def only(comparisons: list[Comparison]) -> Comparison:
    (comparison,) = comparisons
    return comparison


def decision_of(comparison: Comparison) -> str | None:
    assert comparison.verdict is not None
    return comparison.verdict.decision


def test_difference_is_the_mean_over_pairs_with_the_same_seed(made) -> None:
    made.add_pairs((), GAINS)
    comparison = only(compare_all(made.study(), made.digests))
    assert comparison.pairs.compare(outcome_named("test_accuracy")).mean == pytest.approx(0.02)
    assert comparison.verdict is None  # nothing was asked


def test_gain_in_every_pair_is_better(made) -> None:
    made.add_pairs((), GAINS)
    comparison = only(compare_all(made.study(QUESTION), made.digests))
    assert decision_of(comparison) == "better"
    assert comparison.verdict.difference_p_value == pytest.approx(2 / 2**8)


def test_lower_loss_is_better(made) -> None:
    made.add_pairs((), GAINS, losses=(2.3, 0.5, 0.4))
    question = Question("async", ("hybrid",), "test_loss", margin=0.01)
    assert decision_of(only(compare_all(made.study(question), made.digests))) == "better"


def test_holm_counts_all_cells(made) -> None:
    for batch in (32, 64):
        made.add_pairs((("data.batch_size", batch),), GAINS)
    comparisons = compare_all(made.study(QUESTION), made.digests)
    assert [c.verdict.difference_p_value for c in comparisons] == pytest.approx([2 * 2 / 2**8] * 2)


def test_missing_run_anywhere_in_the_family_leaves_no_verdict(made) -> None:
    for batch in (32, 64):
        made.add_pairs((("data.batch_size", batch),), GAINS)
    made.declare("hybrid", (("data.batch_size", 64),), 7)
    comparisons = compare_all(made.study(QUESTION), made.digests)
    assert [decision_of(each) for each in comparisons] == [None, None]
    assert "hybrid (batch size 64)" in comparisons[0].verdict.reason


def test_five_pairs_are_too_few_for_a_verdict(made) -> None:
    made.add_pairs((), GAINS[:5])
    comparison = only(compare_all(made.study(QUESTION), made.digests))
    assert decision_of(comparison) is None
    assert "5 pairs are too few" in comparison.verdict.reason


def test_two_names_for_one_config_are_identical_and_no_part_of_the_family(made) -> None:
    made.add_pairs((), GAINS)
    for seed in range(len(GAINS)):
        path = next(p for p, d in made.digests.items() if p.stem.endswith(f"async-{seed}"))
        made.declare("async-sum", (), seed, path)
    question = Question("async", ("hybrid", "async-sum"))
    by_name = {c.method.variant: c for c in compare_all(made.study(question), made.digests)}
    assert decision_of(by_name["async-sum"]) == "identical"
    assert by_name["hybrid"].verdict.difference_p_value == pytest.approx(2 / 2**8)


@pytest.mark.parametrize(
    ("gain", "flagged", "decision"),
    [
        (0.02, "async", None),  # a win over a reference that diverged
        (0.02, "hybrid", "better"),
        (-0.02, "hybrid", None),  # a win of the reference over a method that diverged
        (-0.02, "async", "worse"),
        (0.0, "hybrid", None),
        (0.0, "async", None),
    ],
)
def test_nobody_wins_over_flagged_runs(made, gain: float, flagged: str, decision) -> None:
    noise = np.array([1, -1, 1, -1, 1, -1, 1, -1]) / 1000
    made.add_pairs((), list(gain + noise))
    path = next(p for p in made.digests if f"{flagged}-3" in p.name)
    made.digests[path] = replace(made.digests[path], flags=("diverged",))
    comparison = only(compare_all(made.study(QUESTION), made.digests))
    assert decision_of(comparison) == decision
    if decision is None:
        assert "diverged, never learned or lost workers" in comparison.verdict.reason


def test_method_that_is_not_asked_about_has_no_verdict(made) -> None:
    made.add_pairs((), GAINS)
    for seed in range(len(GAINS)):
        made.add("sync", (), seed, 0.4)
    by_name = {c.method.variant: c for c in compare_all(made.study(QUESTION), made.digests)}
    assert by_name["sync"].verdict is None
    assert by_name["hybrid"].verdict is not None
