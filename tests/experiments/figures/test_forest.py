from dataclasses import replace

import pytest
from made_up_studies import Made, change, make, with_outcome, without

from hybridmpi.experiments.figures.forest import draw_forest
from hybridmpi.experiments.figures.style import GREEN, GREY

VALUES = {"async": [0.50, 0.51, 0.52], "hybrid": [0.51, 0.53, 0.55]}


@pytest.fixture
def pairs() -> Made:
    """Return three pairs whose differences are 1, 2 and 3 points."""
    made = make(["async", "hybrid"], num_seeds=3)
    return with_outcome(made, lambda place: VALUES[place.variant][place.seed])


def test_mean_and_interval_are_those_of_the_pairs(pairs: Made) -> None:
    panel = draw_forest(*pairs).axes[0]
    _, interval, mean = panel.lines
    # Standard deviation 1, 3 pairs: 4.302653 / sqrt(3).
    assert interval.get_xdata() == pytest.approx([2 - 2.484138, 2 + 2.484138], rel=1e-6)
    assert mean.get_xdata() == pytest.approx([2])
    assert (mean.get_color(), mean.get_markerfacecolor()) == (GREEN, GREEN)
    assert panel.texts[0].get_text() == "+2.00 [\N{MINUS SIGN}0.48, +4.48]  n = 3"


def test_margin_is_shaded_for_the_outcome_that_is_asked_for_only(pairs: Made) -> None:
    shaded = draw_forest(*pairs).axes[0].patches
    assert [(patch.get_x(), patch.get_width()) for patch in shaded] == [(-0.5, 1.0)]
    assert not draw_forest(*make(num_seeds=2), outcome="test_loss").axes[0].patches


def test_numbers_of_one_row_have_as_many_places() -> None:
    losses = {"async": [0.5, 0.5], "hybrid": [0.41, 0.39]}
    made = make(["async", "hybrid"], num_seeds=2)
    study, digests = with_outcome(
        made, lambda place: losses[place.variant][place.seed], "test_loss"
    )
    words = draw_forest(study, digests, "test_loss").axes[0].texts[0].get_text()
    assert words.replace("\N{MINUS SIGN}", "-") == "-0.100 [-0.227, +0.027]  n = 2"


def test_missing_pairs_are_counted(pairs: Made) -> None:
    panel = draw_forest(*without(pairs, "async-0-0.h5")).axes[0]
    assert panel.texts[0].get_text().endswith("n = 2 of 3")


def test_run_that_is_not_complete_is_no_pair(pairs: Made) -> None:
    panel = draw_forest(*change(pairs, "async-0-0.h5", status="stopped")).axes[0]
    assert panel.texts[0].get_text().endswith("n = 2 of 3")


def test_one_pair_is_hollow_and_has_no_interval(pairs: Made) -> None:
    panel = draw_forest(*without(pairs, "async-0-0.h5", "hybrid-0-1.h5")).axes[0]
    assert panel.texts[0].get_text() == "+3.00  n = 1 of 3"
    assert panel.lines[-1].get_markerfacecolor() == "white"
    assert len(panel.lines) == 2


def test_no_pairs_are_said_to_be_none(pairs: Made) -> None:
    study, _ = pairs
    panel = draw_forest(study, {}).axes[0]
    assert [text.get_text() for text in panel.texts] == ["no pairs"]


def test_comparison_with_flagged_runs_is_grey(pairs: Made) -> None:
    panel = draw_forest(*change(pairs, "async-0-0.h5", flags=("diverged",))).axes[0]
    assert panel.lines[-1].get_color() == GREY
    assert panel.texts[0].get_text().endswith("n = 3, flagged")


def test_interval_that_leaves_the_axis_ends_in_arrow_heads() -> None:
    differences = [0.0, 0.02]
    made = make(["async", "hybrid"], num_seeds=2)
    study, digests = with_outcome(
        made, lambda place: 0.5 + (place.variant == "hybrid") * differences[place.seed]
    )
    panel = draw_forest(study, digests).axes[0]
    # The mean is 1 point and the interval 12.7 points to either side: four times as far is shown.
    assert panel.get_xlim()[1] < 5
    assert {line.get_marker() for line in panel.lines} >= {"<", ">"}


def test_two_names_for_one_run_are_identical() -> None:
    study, digests = make(["async", "hybrid"], num_seeds=2)
    shared = {
        place: path.with_name(f"async-0-{place.seed}.h5") for place, path in study.places.items()
    }
    panel = draw_forest(replace(study, places=shared), digests).axes[0]
    assert panel.texts[0].get_text().endswith("n = 2, identical")


def test_cells_are_headed_and_the_methods_stand_under_them() -> None:
    panel = draw_forest(*make(num_seeds=2, data__batch_size=[32, 64])).axes[0]
    ticks = [label.get_text() for label in panel.get_yticklabels()]
    assert ticks == ["batch size 32", "sync", "hybrid", "batch size 64", "sync", "hybrid"]


def test_long_forest_is_thinned_and_that_is_said() -> None:
    figure = draw_forest(*make(num_seeds=1, data__batch_size=range(30)))
    assert figure.get_suptitle().startswith("20 of 30 cells")
    assert len(figure.axes[0].get_yticks()) == 60
