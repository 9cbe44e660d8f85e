import numpy as np
import pytest
from made_up_studies import change, make, with_curve, without

from hybridmpi.errors import UserError
from hybridmpi.experiments.figures.curves import draw_curves
from hybridmpi.experiments.figures.style import GREEN, VERMILION


def test_lines_are_means_over_the_seeds_in_percent() -> None:
    values = [[0.1, 0.4, 0.6], [0.1, 0.6, 0.8]]
    study, digests = with_curve(make(["hybrid"], num_seeds=2), lambda place: values[place.seed])
    (panel,) = draw_curves(study, digests).axes
    line, band = panel.lines[0], panel.collections[0]
    assert line.get_ydata() == pytest.approx([10, 50, 70])
    assert line.get_color() == GREEN
    # Two seeds: 12.706205 times 10 / sqrt(2) sqrt(2), the t quantile of 1 degree of freedom.
    corners = band.get_paths()[0].vertices
    assert corners[corners[:, 0] == 50][:, 1].max() == pytest.approx(50 + 127.06205, rel=1e-6)


def test_one_seed_has_a_line_and_no_band() -> None:
    figure = draw_curves(*make(["hybrid"], num_seeds=1))
    assert len(figure.axes[0].lines) == 1
    assert not figure.axes[0].collections
    assert figure.axes[0].get_title(loc="left") == "n = 1 seed"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["hybrid"]


def test_missing_runs_are_counted() -> None:
    study, digests = without(make(num_seeds=3), "sync-0-1.h5")
    assert draw_curves(study, digests).axes[0].get_title(loc="left") == "n = 3 seeds (sync 2)"


def test_method_without_runs_is_in_no_key() -> None:
    study, digests = without(make(num_seeds=1), "sync-0-0.h5")
    figure = draw_curves(study, digests)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["async", "hybrid"]


def test_method_keeps_its_color_where_others_are_missing() -> None:
    study, digests = without(make(num_seeds=1), "sync-0-0.h5", "hybrid-0-0.h5")
    assert [line.get_color() for line in draw_curves(study, digests).axes[0].lines] == [VERMILION]


@pytest.mark.parametrize("over", ["gradients", "bytes_sent", "worker_seconds"])
def test_x_axis_is_what_was_asked_for(over: str) -> None:
    study, digests = make(["async"], num_seeds=1)
    panel = draw_curves(study, digests, "test_loss", over).axes[0]
    (digest,) = digests.values()
    assert np.array_equal(panel.lines[0].get_xdata(), digest.evaluations[over])
    assert panel.get_xlabel() == over.replace("_", "-" if over[0] == "w" else " ")


def test_seeds_that_spent_differently_meet_on_common_places() -> None:
    study, digests = make(["async"], num_seeds=2)
    line = draw_curves(study, digests, over="gradients").axes[0].lines[0]
    least = min(digest.evaluations.gradients.iloc[-1] for digest in digests.values())
    assert line.get_xdata()[-1] == least


def test_loss_that_diverged_leaves_the_axis_and_that_is_said() -> None:
    study, digests = make(num_seeds=1)
    table = next(iter(digests.values())).evaluations.copy()
    table.loc[10:, "test_loss"] = 1e8
    study, digests = change((study, digests), "async-0-0.h5", evaluations=table)
    panel = draw_curves(study, digests, "test_loss").axes[0]
    assert panel.get_ylim()[1] < 4
    assert panel.get_title(loc="left").endswith("beyond the axis: async")


def test_panels_of_one_data_set_share_their_axes() -> None:
    study, digests = make(num_seeds=2, data__batch_size=[32, 64])
    one, other = draw_curves(study, digests).axes
    assert one.get_ylim() == other.get_ylim()
    assert one.get_xlim() == other.get_xlim()
    assert one.get_title(loc="left").startswith("batch size 32\n")


def test_panels_of_different_data_sets_do_not() -> None:
    made = make(num_seeds=1, data__dataset=["mnist", "cifar10"])
    top = {"mnist": 0.99, "cifar10": 0.5}
    curve = lambda place: [0.1, 0.3, top[dict(place.cell)["data.dataset"]]]  # noqa: E731
    mnist, cifar10 = draw_curves(*with_curve(made, curve)).axes
    assert mnist.get_ylim()[1] > 99 > cifar10.get_ylim()[1]


def test_more_than_twelve_cells_are_thinned_and_that_is_said() -> None:
    figure = draw_curves(*make(["async"], num_seeds=1, data__batch_size=range(20)))
    assert len(figure.axes) == 12
    assert figure.get_suptitle().startswith("12 of 20 cells")


def test_unknown_metric_is_refused() -> None:
    with pytest.raises(UserError, match="no quantity 'accuracy'"):
        draw_curves(*make(num_seeds=1), "accuracy")
