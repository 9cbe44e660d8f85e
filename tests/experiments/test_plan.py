"""From an experiment to its runs, and plan.json."""

from pathlib import Path
from typing import Any

import pytest

from hybridmpi.config.experiment import Decision, Experiment
from hybridmpi.core.metrics import Metric
from hybridmpi.engines import metrics
from hybridmpi.errors import UserError
from hybridmpi.experiments.plan import Plan, outcome_of, plan
from hybridmpi.experiments.plan_file import as_json, read_study, write_best, write_plan
from hybridmpi.experiments.study import Place

BASE = {"run": {"time_limit_s": 10}, "evaluation": {"every_s": 1}}
STEP = {"schedule": "step", "initial": 1, "increment": 1, "every": "3/lr"}
HYBRID = {"method": {"threshold": STEP}}
GIVEN: dict[str, Any] = {
    "job": "job.toml",
    "seeds": 2,
    "variants": {
        "async": {"method": {"preset": "async"}},
        "hybrid": HYBRID,
        "async-sum": {"method": {"preset": "async", "aggregation": "sum"}},
    },
    "axes": {"data": {"batch_size": [8, 16]}},
    "decision": {"reference": "async"},
}
METRICS = (
    Metric("gap", "", False, "f minus its smallest value"),
    Metric("share", "fraction", True, "share of something"),
)
TUNED = {"tune": "optimizer.learning_rate", "tune_seeds": 1, "validation": 0.2}
RATES = {"axes": {"optimizer.learning_rate": [0.1, 0.2]}}


def planned(base: dict[str, Any] = BASE, **changes: Any) -> Plan:
    return plan(Experiment.model_validate(GIVEN | changes), base)


def message(base: dict[str, Any] = BASE, **changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        planned(base, **changes)
    return str(caught.value)


def test_same_protocol_is_run_once() -> None:
    runs = planned().runs
    assert len(runs) == 2 * 2 * 2  # protocols, batch sizes, seeds
    shared = [{place.variant for place in run.places} for run in runs]
    assert shared.count({"async", "async-sum"}) == 4
    assert shared.count({"hybrid"}) == 4


def decision(**fields: Any) -> dict[str, Any]:
    return {"decision": {"reference": "async", **fields}}


def test_first_metric_decides_by_half_a_point_where_nothing_else_is_asked() -> None:
    question = planned().question
    assert (question.outcome, question.margin) == ("test_accuracy", 0.005)
    assert as_json(planned())["experiment"]["decision"]["outcome"] == "test_accuracy"
    asked = planned(**decision(outcome="test_loss", margin=0.1, targets={"train_loss": [1.0]}))
    assert (asked.question.outcome, asked.question.margin) == ("test_loss", 0.1)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"outcome": "accuracy"},
            "decision.outcome: there is no metric 'accuracy'; these runs are measured by "
            "test_accuracy, test_loss, train_loss",
        ),
        ({"targets": {"loss": [1]}}, "decision.targets: there is no metric 'loss'; these runs are"),
        ({"outcome": "test_loss"}, "`margin` has no default for test_loss; give the difference"),
    ],
)
def test_outcome_is_a_metric_of_the_runs(fields: dict[str, Any], told: str) -> None:
    assert told in message(**decision(**fields))


def test_outcome_follows_from_the_metrics_of_the_problem() -> None:
    assert outcome_of(Decision(reference="async", margin=1.0), METRICS) == METRICS[0]
    assert outcome_of(Decision(reference="async", outcome="share"), METRICS) == METRICS[1]
    with pytest.raises(
        UserError, match="no metric 'test_accuracy'; these runs are measured by gap"
    ):
        outcome_of(Decision(reference="async", outcome="test_accuracy"), METRICS)


def test_runs_that_are_measured_differently_are_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        metrics, "metrics_of", lambda job: METRICS[: job.method.preset == "async" or 2]
    )
    told = message(**decision(margin=1.0))
    assert "variant 'async', data.batch_size = 8 is measured by gap, and variant 'hybrid'" in told


def test_all_variants_have_the_same_seeds() -> None:
    seeds = {run.places[0].variant: set[int]() for run in planned(seeds=[3, 7]).runs}
    for run in planned(seeds=[3, 7]).runs:
        seeds[run.places[0].variant].add(run.job.run.seed)
        assert {place.seed for place in run.places} == {run.job.run.seed}
    assert seeds == {"async": {3, 7}, "hybrid": {3, 7}}


def test_expression_follows_the_learning_rate_of_its_cell() -> None:
    every = {
        run.job.method.threshold.every  # type: ignore[union-attr]
        for run in planned(**RATES).runs
        if run.places[0].variant == "hybrid"
    }
    assert every == {3 / 0.1, 3 / 0.2}


def test_files_are_named_alike_each_time_and_apart_from_each_other() -> None:
    names = [run.file for run in planned().runs]
    assert names == [run.file for run in planned().runs]
    assert len(set(names)) == len(names)
    assert names[0].startswith("runs/async-batch_size8-seed0-")


def test_file_name_of_any_variant_is_one_of_a_file() -> None:
    variants = {"a/../é b" + "x" * 300: HYBRID, "async": GIVEN["variants"]["async"]}
    names = [Path(run.file) for run in planned(variants=variants).runs]
    assert {str(name.parent) for name in names} == {"runs"}
    assert max(len(name.name) for name in names) < 150


def test_runs_of_a_seed_are_made_before_those_of_the_next() -> None:
    order = planned(**TUNED, **RATES).in_order
    kinds = [(run.is_tuning, run.places[0].seed) for run in order]
    assert kinds[0] == (True, 1_000_000)
    deciding = [seed for is_tuning, seed in kinds if not is_tuning]
    assert deciding == sorted(deciding)
    assert kinds == sorted(kinds, key=lambda kind: not kind[0])


def test_runs_that_tune_hold_out_a_validation_split_and_others_do_not() -> None:
    runs = planned(**TUNED, **RATES).runs
    assert {run.job.data.validation for run in runs if run.is_tuning} == {0.2}
    assert {run.job.data.validation for run in runs if not run.is_tuning} == {0.0}


def test_every_wrong_job_is_named_with_its_variant_and_cell() -> None:
    variants = GIVEN["variants"] | {"k": {"method": {"preset": "k-async"}}}
    told = message(variants=variants, axes={"data.batch_size": [8, 0]}).splitlines()
    assert told[0].startswith("variant 'async', data.batch_size = 0: data.batch_size: must be")
    assert told[1].startswith("variant 'k', data.batch_size = 8: method: preset 'k-async' needs")
    assert len(told) == 2


def test_axis_that_is_no_field_is_told() -> None:
    assert "data.batchsize: unknown field; did you mean 'batch_size' or" in message(
        axes={"data.batchsize": [8]}
    )


@pytest.mark.parametrize(
    ("base", "changes", "told"),
    [
        ({"run": {"time_limit_s": 10}}, {}, "evaluation.every_s is missing"),
        (BASE | {"run": {"gradient_limit": 9}}, {}, "run.time_limit_s is missing"),
        (
            BASE | {"run": {"time_limit_s": 10, "step_limit": 5}},
            {},
            "run.step_limit gives each run an evaluation grid of its own",
        ),
        (
            BASE,
            {"axes": {"run.time_limit_s": [10, 20]}},
            "are (10.0, 1.0) in variant 'async', run.time_limit_s = 10, and (20.0, 1.0) in",
        ),
    ],
)
def test_runs_without_a_common_grid_are_refused(
    base: dict[str, Any], changes: dict[str, Any], told: str
) -> None:
    assert told in message(base, **changes)


def test_study_read_from_the_folder_has_all_places_in_the_order_of_declaration(
    tmp_path: Path,
) -> None:
    variants = {name: GIVEN["variants"][name] for name in ("async-sum", "hybrid", "async")}
    made = planned(variants=variants)
    write_plan(tmp_path, made)
    study = read_study(tmp_path)
    assert study.variants == ["async", "async-sum", "hybrid"]  # the reference first
    assert study.cells == [(("data.batch_size", 8),), (("data.batch_size", 16),)]
    assert study.seeds == [0, 1]
    assert study.question == made.question
    cell = study.cells[1]
    shared = study.places[Place("async", cell, 1)]
    assert shared == study.places[Place("async-sum", cell, 1)]
    assert shared in [tmp_path / run.file for run in made.runs]
    assert len(study.places) == 3 * 2 * 2


def test_study_says_what_was_tuned_or_that_it_is_not_yet(tmp_path: Path) -> None:
    made = planned(**TUNED, **RATES)
    write_plan(tmp_path, made)
    assert read_study(tmp_path).tuning is None
    assert "tune optimizer.learning_rate are not all there" in read_study(tmp_path).problems[0]
    write_best(tmp_path, {("async", ()): 0.1, ("async-sum", ()): 0.1})
    study = read_study(tmp_path)
    assert study.tuning is not None
    assert study.tuning.values == (0.1, 0.2)
    assert study.tuning.best[("async", ())] == 0.1
    assert study.problems == (
        "No value of optimizer.learning_rate is best for hybrid: at each of them a run failed.",
    )


def test_folder_without_a_plan_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no plan\.json; name a folder that `hybridmpi comp"):
        read_study(tmp_path)
