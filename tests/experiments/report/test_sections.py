"""Tables of made-up runs, compared with numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from hybridmpi.experiments.document import Section, TableOf
from hybridmpi.experiments.report.claim import claim_section
from hybridmpi.experiments.report.differences import differences_section
from hybridmpi.experiments.report.equal_spend import equal_spend_section
from hybridmpi.experiments.report.findings import Findings, find
from hybridmpi.experiments.report.interactions import interactions_section
from hybridmpi.experiments.report.methods import methods_section
from hybridmpi.experiments.report.runs import runs_section
from hybridmpi.experiments.report.summary import summary
from hybridmpi.experiments.report.targets import targets_section
from hybridmpi.experiments.report.tuning import tuning_section
from hybridmpi.experiments.report.verdicts import verdict_section
from hybridmpi.experiments.report.workers import workers_section
from hybridmpi.experiments.study import Question, Tuning

QUESTION = Question("async", ("hybrid",))
GAINS = [0.01, 0.02, 0.03, 0.02, 0.01, 0.02, 0.03, 0.02]
RATE = "optimizer.learning_rate"


def findings_of(made, question: Question | None = None, **changes) -> Findings:
    return find(made.study(question, **changes), made.digests)


def table_in(section: Section | None, name: str) -> TableOf:
    assert section is not None
    return next(p for p in section.parts if isinstance(p, TableOf) and p.name == name)


def texts(section: Section) -> str:
    return " ".join(part.text for part in section.parts if not isinstance(part, TableOf))


def test_verdict_table_has_difference_interval_p_and_verdict(made) -> None:
    made.add_pairs((), GAINS)
    table = table_in(verdict_section(findings_of(made, QUESTION)), "verdicts")
    shown = table.shown.iloc[0]
    # standard deviation of the gains 0.756 points; / sqrt(8) x 2.365 = 0.632
    assert shown["difference (points)"] == "+2.00 (+1.37 to +2.63)"
    assert (shown["pairs"], shown["p (Holm)"], shown["verdict"]) == ("8 of 8", "0.0078", "better")
    assert table.tones[0, "verdict"] == "good"
    numbers = table.numbers.iloc[0]
    assert numbers.mean_difference == pytest.approx(0.02)
    assert numbers.interval_low == pytest.approx(0.0137, abs=1e-4)
    assert numbers.unit == "fraction"


def test_without_a_question_there_are_intervals_but_no_p_and_no_verdict(made) -> None:
    made.add_pairs((), GAINS)
    section = verdict_section(findings_of(made))
    table = table_in(section, "verdicts")
    assert "+2.00 (+1.37 to +2.63)" in table.shown.iloc[0].tolist()
    columns = {*table.shown.columns, *table.numbers.columns}
    assert not columns & {"p (Holm)", "verdict", "p_value"}
    assert "No question was declared" in texts(section)


def test_reason_for_no_verdict_is_given(made) -> None:
    made.add_pairs((), GAINS[:5])
    section = verdict_section(findings_of(made, QUESTION))
    assert table_in(section, "verdicts").shown.iloc[0]["verdict"] == "no verdict"
    assert "5 pairs are too few" in texts(section)


def test_two_names_for_the_same_runs_are_identical_never_nan(made) -> None:
    for seed in range(3):
        made.declare("async-sum", (), seed, made.add("async", (), seed))
    findings = findings_of(made, Question("async", ("async-sum",)))
    for section, name in (
        (verdict_section(findings), "verdicts"),
        (differences_section(findings), "differences-interval-means"),
        (equal_spend_section(findings), "equal-cost"),
    ):
        shown = table_in(section, name).shown
        assert "identical" in shown.iloc[0].tolist()
        assert not shown.map(lambda text: "nan" in text).any(axis=None)


def test_differences_are_there_for_all_metrics_over_the_interval_at_the_end_and_at_best(
    made,
) -> None:
    for seed in range(2):
        made.add("async", (), seed, accuracies=(0.1, 0.4, 0.5), losses=(2.0, 1.0, 1.0))
        made.add("hybrid", (), seed, accuracies=(0.1, 0.6, 0.5), losses=(2.0, 1.0, 1.5))
    section = differences_section(findings_of(made))
    accuracy, loss = "test accuracy (points)", "test loss (nats)"
    shown = {
        name: table_in(section, f"differences-{name}").shown.iloc[0]
        for name in ("interval-means", "at-the-end", "at-best")
    }
    assert shown["interval-means"][accuracy] == "+10.00 (+10.00 to +10.00)"
    assert shown["at-the-end"][accuracy] == "+0.00 (+0.00 to +0.00)"
    assert shown["at-best"][accuracy] == "+10.00 (+10.00 to +10.00)"
    assert shown["interval-means"][loss] == "+0.1250 (+0.1250 to +0.1250)"
    assert shown["at-the-end"][loss] == "+0.5000 (+0.5000 to +0.5000)"


def test_one_pair_has_a_difference_but_no_interval(made) -> None:
    made.add_pairs((), [0.02])
    shown = table_in(verdict_section(findings_of(made)), "verdicts").shown.iloc[0]
    assert shown["difference (points)"] == "+2.00"
    assert shown["variance ratio"] == "–"  # noqa: RUF001


def test_targets_count_runs_that_miss_them_as_the_whole_time(made) -> None:
    made.add("async", (), 0, accuracies=(0.1, 0.5, 0.6))
    made.add("async", (), 1, accuracies=(0.1, 0.4, 0.4))
    question = Question("async", (), targets={"test_accuracy": (0.5,), "test_loss": (1.0,)})
    table = table_in(targets_section(findings_of(made, question)), "targets")
    assert table.shown.iloc[0]["test accuracy ≥ 0.5"] == "7.5 s (1 of 2)"
    assert table.shown.iloc[0]["test loss ≤ 1"] == "5.0 s (2 of 2)"
    assert table.numbers.share_reached.tolist() == [0.5, 1.0]


def test_without_targets_there_is_no_section_about_them(made) -> None:
    made.add_pairs((), GAINS)
    assert targets_section(findings_of(made, QUESTION)) is None


def test_methods_have_values_and_rates(made) -> None:
    made.add("async", (), 0, 0.4)
    made.add("async", (), 1, 0.6, engine="mpi")
    section = methods_section(findings_of(made))
    quality = table_in(section, "methods").shown.iloc[0]
    assert quality["test accuracy, mean"] == "50.00 ± 14.14"
    assert quality["engine"] == "MPI, simulated"
    work = table_in(section, "work")
    assert work.shown.iloc[0]["gradients/s"] == "10.0"
    assert work.shown.iloc[0]["waiting"] == "25%"
    assert work.numbers.iloc[0].bytes_sent == 100_000


def test_delayed_workers_stand_beside_the_others(made) -> None:
    made.add_pairs((), GAINS[:2])
    table = table_in(workers_section(findings_of(made)), "workers")
    shown = table.shown.iloc[0]
    assert (shown["delayed: gradients"], shown["others: gradients"]) == ("25.0%", "75.0%")
    assert (shown["delayed: waiting"], shown["others: waiting"]) == ("10.0%", "40.0%")
    assert len(table.numbers) == 2 * 2 * 2  # methods, runs, workers


def test_equal_cost_stops_where_the_thriftiest_run_does(made) -> None:
    for seed in range(2):
        made.add("async", (), seed, accuracies=(0.0, 0.5, 0.5), gradients=100)
        made.add("hybrid", (), seed, accuracies=(0.0, 0.5, 0.5), gradients=50)
    numbers = table_in(equal_spend_section(findings_of(made)), "equal-cost").numbers
    by_axis = numbers.set_index("axis")
    assert by_axis.common_end["gradients"] == 50
    # async up to 50 gradients: 0.25 on average; hybrid: 0.25 in the first half, 0.5 in the other
    assert by_axis.mean_difference["gradients"] == pytest.approx(0.125)
    assert by_axis.mean_difference["worker_seconds"] == pytest.approx(0)


def tuned(best: dict[str, float]) -> Tuning:
    values = {(variant, ()): value for variant, value in best.items()}
    return Tuning(RATE, (0.01, 0.1, 1.0), values, "test_accuracy", 2)


def test_each_method_at_its_best_is_compared_with_the_reference_at_its_best(made) -> None:
    for rate, gains in ((0.1, [0.0, 0.0]), (1.0, [0.03, 0.05])):
        made.add_pairs(((RATE, rate),), gains)
    tuning = tuned({"async": 0.1, "hybrid": 1.0})
    section = tuning_section(findings_of(made, tuning=tuning))
    shown = table_in(section, "tuned").shown.set_index("method")
    assert shown["minus reference"]["hybrid"].startswith("+4.00 (")
    assert shown["best learning rate"].to_dict() == {"async": "0.1", "hybrid": "1"}


def test_best_value_at_the_edge_is_not_bracketed(made) -> None:
    made.add_pairs(((RATE, 1.0),), [0.1, 0.2])
    section = tuning_section(findings_of(made, tuning=tuned({"async": 0.1, "hybrid": 1.0})))
    shown = table_in(section, "tuned").shown.set_index("method")
    assert shown.bracketed.to_dict() == {"async": "yes", "hybrid": "no"}
    assert "Not bracketed" in texts(section)
    assert "hybrid at 1." in texts(section)


def test_interaction_is_the_gain_in_one_cell_minus_that_in_the_other(made) -> None:
    made.add_pairs((("data.batch_size", 32),), [0.05, 0.03])
    made.add_pairs((("data.batch_size", 64),), [0.02, 0.02])
    table = table_in(interactions_section(findings_of(made)), "interactions")
    assert table.numbers.mean_difference.tolist() == pytest.approx([0.02])
    assert table.shown.iloc[0]["gain at"] == "batch size 32"


def test_axis_with_three_values_has_no_interaction(made) -> None:
    for batch in (16, 32, 64):
        made.add_pairs((("data.batch_size", batch),), [0.01, 0.02])
    assert interactions_section(findings_of(made)) is None


@pytest.mark.parametrize(
    ("gains", "answer"),
    [([0.04, 0.05, 0.06], "compatible"), ([0.01, 0.011, 0.012], "excluded"), ([0.05], "unknown")],
)
def test_claim_is_compatible_if_it_lies_in_the_interval(made, gains, answer: str) -> None:
    for seed, gain in enumerate(gains):
        made.add("async", (), seed, 0.5, data={"dataset": "cifar10"})
        made.add("hybrid", (), seed, 0.5 + gain, data={"dataset": "cifar10"})
    table = table_in(claim_section(findings_of(made)), "claim")
    assert table.shown.iloc[0]["+4.85 points"] == answer
    assert table.shown.iloc[0]["unlike the paper"] == "10 s, 2 workers"
    assert table.numbers.claimed.tolist() == [0.04849, -0.137]


def test_other_data_sets_do_not_speak_to_the_claim(made) -> None:
    made.add_pairs((), [0.04, 0.05, 0.06])
    section = claim_section(findings_of(made))
    assert "they don't speak to the claim" in texts(section)
    assert set(table_in(section, "claim").numbers.answer) == {"unknown"}


def test_without_a_hybrid_method_there_is_no_claim_card(made) -> None:
    made.add("async", (), 0)
    made.add("sync", (), 0)
    assert claim_section(findings_of(made)) is None


def test_runs_are_listed_with_what_is_wrong_with_them(made) -> None:
    made.add_pairs((), GAINS[:2])
    made.add("hybrid", (), 2, flags=("never learned",))
    made.declare("async", (), 2)
    section = runs_section(findings_of(made))
    numbers = table_in(section, "runs").numbers
    assert numbers.status.tolist() == ["complete"] * 5 + ["missing"]
    assert pd.isna(numbers.test_accuracy.iloc[-1])
    assert "1 run never learned: hybrid seed 2" in texts(section)


def test_summary_says_what_is_decided_by_which_runs(made) -> None:
    made.add_pairs((), GAINS)
    told = [note.text for note in summary(findings_of(made, QUESTION))]
    assert told[0] == "1 comparison with async by test accuracy: 1 better."
    assert told[1].startswith("hybrid is better than async: +2.00 (+1.37 to +2.63) points")
    assert told[2].startswith("16 run files (16 simulated), 16 of them complete")


def test_summary_tells_engines_apart(made) -> None:
    made.add("async", (), 0)
    made.add("async", (), 1, engine="mpi")
    assert any("1 MPI, 1 simulated" in note.text for note in summary(findings_of(made)))


def test_diverged_run_without_evaluations_is_reported(made) -> None:
    made.add_pairs((), GAINS[:2])
    path = made.add("hybrid", (), 2, np.nan, status="failed", flags=("diverged",))
    made.add("async", (), 2)
    told = " ".join(note.text for note in summary(findings_of(made, QUESTION)))
    assert "1 run diverged: hybrid seed 2" in told
    assert path.name in told
