import dataclasses

import numpy as np
import pytest

from hybridmpi.experiments.paired import PairedComparison, compare_pairs
from hybridmpi.experiments.verdict import Verdict, decide

NOISE = np.resize([0.001, -0.001], 12)


def differing_by(mean: float, num_pairs: int = 12) -> PairedComparison:
    """Compare runs whose differences are `mean` plus and minus 0.001, in turns."""
    reference = np.linspace(0.5, 0.6, num_pairs)
    return compare_pairs(reference + mean + NOISE[:num_pairs], reference)


def decisions(family: dict[str, PairedComparison], **settings: float) -> dict[str, str | None]:
    settings = {"higher_is_better": True, **settings}
    return {name: verdict.decision for name, verdict in decide(family, **settings).items()}


NOISY = compare_pairs(np.resize([0.5, 0.6, 0.55], 12), np.resize([0.52, 0.57], 12))
FAMILY = {
    "higher": differing_by(0.02),
    "lower": differing_by(-0.02),
    "same": differing_by(0.0),
    "noisy": NOISY,
}


def test_side_of_the_mean_and_direction_of_the_outcome_decide_between_better_and_worse() -> None:
    kept = {"same": "equivalent", "noisy": "undecided"}
    assert decisions(FAMILY) == {"higher": "better", "lower": "worse", **kept}
    assert decisions(FAMILY, higher_is_better=False) == {
        "higher": "worse",
        "lower": "better",
        **kept,
    }


def test_margin_decides_what_is_equivalent() -> None:
    small = {"small": differing_by(0.0)}
    assert decisions(small, margin=0.0006) == {"small": "equivalent"}
    assert decisions(small, margin=0.0005) == {"small": "undecided"}  # 1.8 x 0.0003 above 0.0005


def test_difference_within_the_margin_is_better_and_known_to_be_small() -> None:
    verdict = decide({"slightly": differing_by(0.002)}, higher_is_better=True)["slightly"]
    assert verdict.decision == "better"
    assert verdict.equivalence_p_value < 0.05


def test_p_values_are_adjusted_for_the_whole_family() -> None:
    verdicts = decide(FAMILY, higher_is_better=True)
    assert verdicts["higher"].difference_p_value == 4 / 2048
    assert verdicts["lower"].difference_p_value == 4 / 2048  # 3/2048, but not below the first
    assert verdicts["same"].difference_p_value == 1
    q = {name: comparison.equivalence_p_value(0.005) for name, comparison in FAMILY.items()}
    assert verdicts["same"].equivalence_p_value == pytest.approx(4 * q["same"])
    assert q["noisy"] == pytest.approx(stand_alone(NOISY).equivalence_p_value)


def stand_alone(comparison: PairedComparison) -> Verdict:
    return decide({"alone": comparison}, higher_is_better=True)["alone"]


def test_what_decides_alone_may_not_decide_in_a_family() -> None:
    eleven_of_twelve = dataclasses.replace(differing_by(0.02), p_value=0.02)
    assert decisions({"a": eleven_of_twelve}) == {"a": "better"}
    assert decisions({"a": eleven_of_twelve, "b": NOISY, "c": NOISY})["a"] == "undecided"


def test_same_runs_under_two_names_are_identical_however_few() -> None:
    for num_pairs in (2, 5, 12):
        accuracy = np.linspace(0.5, 0.6, num_pairs)
        family = {"copy": compare_pairs(accuracy, accuracy), "other": differing_by(0.02, num_pairs)}
        assert decide(family, higher_is_better=True)["copy"] == Verdict("identical", "", 1.0, 0.0)


@pytest.mark.parametrize(("num_pairs", "is_decided"), [(1, False), (5, False), (6, True)])
def test_pairs_that_cannot_reach_the_level_get_no_verdict(num_pairs: int, is_decided: bool) -> None:
    verdict = stand_alone(differing_by(0.02, num_pairs))
    assert verdict.decision == ("better" if is_decided else None)
    assert bool(verdict.reason) != is_decided


def test_reason_gives_the_smallest_possible_p_value() -> None:
    assert stand_alone(differing_by(0.02, 5)).reason == (
        "5 pairs are too few: with 1 in the family the smallest possible p value is 0.0625, "
        "above 0.05"
    )


def test_too_few_pairs_are_not_equivalent_either() -> None:
    assert stand_alone(differing_by(0.0, 4)).decision is None


def test_larger_family_needs_more_pairs() -> None:
    # 8 pairs: 1/128 for each, so 6 comparisons can reach 0.05 and 7 cannot.
    six = {str(i): differing_by(0.02, 8) for i in range(6)}
    assert set(decisions(six).values()) == {"better"}
    assert set(decisions({**six, "7th": differing_by(0.02, 8)}).values()) == {None}


def test_missing_pair_takes_the_verdict_from_the_whole_family() -> None:
    reference = np.linspace(0.5, 0.6, 12)
    failed = compare_pairs(np.where(np.arange(12) == 3, np.nan, reference + 0.02), reference)
    equal = compare_pairs(reference, reference)
    verdicts = decide({"failed": failed, "copy": equal, **FAMILY}, higher_is_better=True)
    no_verdict = Verdict(None, "the family is incomplete: pairs are missing in failed")
    assert verdicts.pop("copy") == Verdict("identical")
    assert verdicts == dict.fromkeys(("failed", *FAMILY), no_verdict)


def test_comparison_without_runs_leaves_the_family_incomplete() -> None:
    nothing = compare_pairs(np.full(12, np.nan), np.ones(12))
    assert decisions({"never run": nothing, "higher": FAMILY["higher"]}) == {
        "never run": None,
        "higher": None,
    }


def test_empty_family_has_no_verdicts() -> None:
    assert decisions({}) == {}


@pytest.mark.parametrize("wrong", [{"margin": 0.0}, {"margin": np.nan}, {"level": 0}, {"level": 1}])
def test_margin_and_level_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="margin must be above 0 and level between 0 and 1"):
        decisions(FAMILY, **wrong)
