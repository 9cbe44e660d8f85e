"""Metrics as readers see them, and a whole report on runs that are no image classification."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hybridmpi import read_run
from hybridmpi.core.metrics import TEST_ACCURACY, TEST_LOSS, Metric
from hybridmpi.errors import UserError
from hybridmpi.experiments.digest import digest, digest_files
from hybridmpi.experiments.figures.curves import bounds_of
from hybridmpi.experiments.figures.style import plain_style
from hybridmpi.experiments.flags import flags_of
from hybridmpi.experiments.metrics import metric_named, metrics_in, shown
from hybridmpi.experiments.render.report import write_report
from hybridmpi.experiments.report.build import build_document
from hybridmpi.experiments.run_figure import draw_run
from hybridmpi.experiments.run_list import study_of_runs
from hybridmpi.experiments.run_summary import summarize
from hybridmpi.runlog.writer import RunWriter

GAP = Metric("gap", "", False, "f minus its smallest value")
NORM = Metric("gradient_norm", "1/m", False, "norm of the gradient of f")
SCORE = Metric("score", "points", True, "of a game")

WriteRun = Callable[..., Path]


@pytest.fixture
def write(new_run: Callable[..., RunWriter], tmp_path: Path) -> WriteRun:
    """Return a function that writes a run with the values of its first metric at 0, 1, ... s."""

    def write(
        values: list[float],
        metrics: tuple[Metric, ...] = (GAP, NORM),
        preset: str = "async",
        seed: int = 0,
        end_s: float = 1.0,
    ) -> Path:
        config = {
            "run": {"seed": seed},
            "method": {"preset": preset, "aggregation": "mean"},
            "data": {"dataset": "digits", "batch_size": 8},
        }
        name = f"{preset}-{metrics[0].name}-{seed}.h5"
        writer = new_run(
            tmp_path / name, metrics=metrics, config=config, attributes={"engine": "simulate"}
        )
        for number, value in enumerate(values):
            named = {metric.name: value for metric in metrics}
            writer.evaluation(end_s * number, number, 0.0, named)
        writer.close("complete", duration_s=end_s * (len(values) - 1), bytes_sent=9)
        return writer.path

    return write


@pytest.mark.parametrize(
    ("metric", "value", "text", "difference"),
    [
        (TEST_ACCURACY, 0.91234, "91.23%", "+91.23"),
        (TEST_LOSS, 0.00012, "0.0001", "+0.0001"),
        (GAP, 1.23456e-9, "1.235e-09", "+1.23e-09"),
        (GAP, 123456.0, "1.235e+05", "+1.23e+05"),
        (GAP, 0.0, "0", "+0"),
        (SCORE, -12.5, "-12.5", "-12.5"),
    ],
)
def test_numbers_have_the_digits_that_tell_something(
    metric: Metric, value: float, text: str, difference: str
) -> None:
    assert (shown(metric).text(value), shown(metric).difference(value)) == (text, difference)


def test_units_stand_where_there_are_any() -> None:
    assert shown(GAP).of_difference("gap") == "gap"
    assert shown(NORM).of_difference("gradient norm") == "gradient norm (1/m)"
    assert shown(TEST_ACCURACY).of_difference("difference") == "difference (points)"


def test_label_names_the_set_that_runs_were_evaluated_on() -> None:
    assert shown(TEST_LOSS).label_on("validation") == "validation loss"
    assert shown(GAP).label_on("validation") == "gap"


def test_unknown_outcome_is_refused_with_what_is_allowed(write: WriteRun) -> None:
    metrics = metrics_in({Path("run.h5"): digest(read_run(write([1.0, 0.1])))})
    assert metric_named(None, metrics).name == "gap"
    with pytest.raises(UserError, match=r"the outcome is 'loss', .*; allowed: gap, gradient_norm"):
        metric_named("loss", metrics)


def test_best_is_the_lowest_or_the_highest_by_direction(write: WriteRun) -> None:
    assert digest(read_run(write([1.0, 0.1, 0.2]))).outcomes["gap_best"] == 0.1
    assert digest(read_run(write([1.0, 3.0, 2.0], (SCORE,)))).outcomes["score_best"] == 3.0


@pytest.mark.parametrize(
    ("values", "metrics", "flags"),
    [
        ([1.0, 0.1], (GAP,), ()),
        ([1.0, 2.1], (GAP,), ("diverged",)),
        ([1.0, float("inf")], (GAP,), ("diverged",)),
        ([-1.0, -1.5], (GAP,), ()),  # a factor says nothing below 0
        ([0.0, 0.1], (GAP,), ()),
        ([5.0, 50.0], (SCORE,), ()),
    ],
)
def test_runs_of_any_metric_are_flagged_by_what_they_minimise(
    write: WriteRun, values: list[float], metrics: tuple[Metric, ...], flags: tuple[str, ...]
) -> None:
    assert flags_of(read_run(write(values, metrics))) == flags


@pytest.mark.parametrize(
    ("values", "metric", "bounds"),
    [
        ([0.1, 0.9], TEST_ACCURACY, (0, 100)),
        ([2.0, 0.5], GAP, (0, 3.0)),
        ([2.0, -0.5], GAP, (-float("inf"), float("inf"))),
        ([2.0, 70.0], SCORE, (-float("inf"), float("inf"))),
    ],
)
def test_curves_show_what_is_worth_showing(
    write: WriteRun, values: list[float], metric: Metric, bounds: tuple[float, float]
) -> None:
    path = write(values, (metric,))
    assert bounds_of({path: digest(read_run(path))}, metric.name) == bounds


def test_each_metric_has_a_panel_and_one_over_decades_a_logarithmic_axis(write: WriteRun) -> None:
    run = read_run(write([1.0, 0.1, 1e-5]))
    gap, norm, losses, *rest = draw_run(run).axes
    assert [panel.get_ylabel() for panel in (gap, norm, losses)] == [
        *("gap", "gradient norm (1/m)", "loss")
    ]
    assert gap.get_yscale() == "log"
    assert len(rest) == 2
    assert summarize(run)


def test_report_is_written_by_the_metrics_of_its_runs(write: WriteRun, tmp_path: Path) -> None:
    paths = [
        write([1.0, factor * (1 + seed), 1e-3 * factor], preset=preset, seed=seed)
        for preset, factor in (("async", 0.2), ("hybrid", 0.1))
        for seed in range(2)
    ]
    digests, unreadable = digest_files(paths)
    assert unreadable == []
    with plain_style():
        document = build_document(study_of_runs(digests), digests, "Quadratics")
        write_report(document, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "Gap: each method minus the reference" in text
    assert "Below 0 is better for gap, gradient norm." in text
    assert "accuracy" not in text.replace("above chance", "")
    assert "The paper's claim" not in text
    assert (tmp_path / "report" / "figures" / "gap-over-time.png").exists()


def test_runs_of_several_problems_are_in_one_report(write: WriteRun) -> None:
    paths = [write([1.0, 0.5]), write([0.1, 0.5], (TEST_ACCURACY,), preset="hybrid")]
    digests, _ = digest_files(paths)
    assert list(metrics_in(digests)) == ["gap", "gradient_norm", "test_accuracy"]
    with plain_style():
        assert build_document(study_of_runs(digests), digests, "Mixed").sections
