import numpy as np
import pytest
from made_up_studies import Made, change, make, with_outcome, without

from hybridmpi.errors import UserError
from hybridmpi.experiments.figures.cell_map import map_axes
from hybridmpi.experiments.figures.heat_maps import draw_difference_maps, draw_heat_maps
from hybridmpi.experiments.figures.win_map import draw_win_map
from hybridmpi.experiments.study import Place

AXES = ("optimizer.learning_rate", "delays.max_s")
# Accuracy by method, learning rate and delay.
VALUES = {
    ("async", 0.01, 0.0): 0.50,
    ("async", 0.1, 0.0): 0.60,
    ("async", 0.01, 1.0): 0.40,
    ("async", 0.1, 1.0): 0.30,
    ("sync", 0.01, 0.0): 0.40,
    ("sync", 0.1, 0.0): 0.65,
    ("sync", 0.01, 1.0): 0.20,
    ("sync", 0.1, 1.0): 0.40,
    ("hybrid", 0.01, 0.0): 0.48,
    ("hybrid", 0.1, 0.0): 0.64,
    ("hybrid", 0.01, 1.0): 0.43,
    ("hybrid", 0.1, 1.0): 0.44,
}


def value_of(place: Place) -> float:
    cell = dict(place.cell)
    return VALUES[place.variant, cell[AXES[0]], cell[AXES[1]]]


@pytest.fixture
def grid() -> Made:
    """Return a study of 2 learning rates (along x) and 2 delays; cell 3 has the larger of both."""
    made = make(num_seeds=2, optimizer__learning_rate=[0.01, 0.1], delays__max_s=[0.0, 1.0])
    return with_outcome(made, value_of)


def numbers_of(panel) -> np.ndarray:
    return panel.collections[0].get_array().filled(np.nan)


def test_axes_are_learning_rate_and_delay_where_there_are_more() -> None:
    study, _ = make(
        num_seeds=1,
        data__batch_size=[32, 64],
        delays__max_s=[0.0, 1.0],
        optimizer__learning_rate=[0.1, 0.2],
        data__dataset=["mnist", "cifar10"],
    )
    assert map_axes(study) == AXES
    assert map_axes(make(num_seeds=1, data__batch_size=[32, 64])[0]) is None
    assert map_axes(make(num_seeds=1, data__normalize=[True, False])[0]) is None


def test_win_map_is_the_difference_from_the_better_rival(grid: Made) -> None:
    panel = draw_win_map(*grid, AXES).axes[0]
    assert numbers_of(panel) == pytest.approx(np.array([[-2, -1], [3, 4]]))
    words = [text.get_text().replace("\N{MINUS SIGN}", "-") for text in panel.texts]
    assert words == ["-2.00", "-1.00", "+3.00", "+4.00"]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0.01", "0.1"]
    assert panel.get_ylabel() == "delays max (s)"


def test_zero_line_lies_where_the_sign_changes(grid: Made) -> None:
    panel = draw_win_map(*grid, AXES).axes[0]
    contour = panel.collections[-1]
    points = np.concatenate([path.vertices for path in contour.get_paths()])
    # Between -2 and 3 at 0.4 of the way up on the left, between -1 and 4 at 0.2 on the right.
    assert points[np.argsort(points[:, 0])] == pytest.approx(np.array([[0, 0.4], [1, 0.2]]))


def test_colors_are_centred_at_zero_and_blue_is_a_win(grid: Made) -> None:
    mesh = draw_win_map(*grid, AXES).axes[0].collections[0]
    assert (mesh.norm.vmin, mesh.norm.vmax) == pytest.approx((-4, 4))
    red, _, blue, _ = mesh.cmap(mesh.norm(4))
    assert blue > red


def test_blue_is_a_win_for_a_loss_too(grid: Made) -> None:
    study, digests = with_outcome(grid, value_of, "test_loss")
    mesh = draw_win_map(study, digests, AXES, "test_loss").axes[0].collections[0]
    # The better rival has the smaller loss; hybrid minus it, in the cell of 0.01 without delay.
    assert mesh.get_array()[0, 0] == pytest.approx(0.48 - 0.40)
    red, _, blue, _ = mesh.cmap(mesh.norm(-1))
    assert blue > red


@pytest.mark.parametrize("fate", ["missing", "flagged", "stopped", "nan"])
def test_cell_with_an_unreliable_run_is_hatched_and_has_no_number(grid: Made, fate: str) -> None:
    changes = {"flagged": {"flags": ("diverged",)}, "stopped": {"status": "stopped"}}
    changes["nan"] = {"outcomes": {"test_accuracy": float("nan")}}
    path = "sync-3-1.h5"
    broken = without(grid, path) if fate == "missing" else change(grid, path, **changes[fate])
    figure = draw_win_map(*broken, AXES)
    panel = figure.axes[0]
    assert np.isnan(numbers_of(panel)[1, 1])
    (hatched,) = panel.patches
    assert (hatched.get_xy(), hatched.get_hatch()) == ((0.5, 0.5), "////")
    assert "sync" in [text.get_text() for text in panel.texts]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "runs of the named methods are missing or flagged" in labels


def test_zero_line_does_not_enter_a_cell_without_a_number(grid: Made) -> None:
    panel = draw_win_map(*without(grid, "sync-3-1.h5"), AXES).axes[0]
    points = np.concatenate([path.vertices for path in panel.collections[-1].get_paths()])
    assert (points.sum(axis=1) <= 1 + 1e-9).all()  # within the triangle of the other three centres


def test_map_without_change_of_sign_has_no_zero_line(grid: Made) -> None:
    study, digests = with_outcome(grid, lambda place: 0.5 + 0.1 * (place.variant == "hybrid"))
    figure = draw_win_map(study, digests, AXES)
    assert len(figure.axes[0].collections) == 1
    assert not figure.legends


def test_other_axes_make_panels() -> None:
    study, digests = make(
        num_seeds=1,
        optimizer__learning_rate=[0.01, 0.1],
        delays__max_s=[0.0, 1.0],
        data__batch_size=[32, 64],
    )
    panels = draw_win_map(study, digests, AXES).axes[:2]
    assert [panel.get_title(loc="left") for panel in panels] == ["batch size 32", "batch size 64"]


def test_win_map_of_an_unknown_method_is_refused(grid: Made) -> None:
    with pytest.raises(UserError, match="asks for the variant 'hybird'; did you mean 'hybrid'"):
        draw_win_map(*grid, AXES, method="hybird")


def test_heat_maps_show_each_method(grid: Made) -> None:
    panels = draw_heat_maps(*grid, AXES).axes[:3]
    assert [panel.get_title(loc="left") for panel in panels] == ["async", "sync", "hybrid"]
    assert numbers_of(panels[0]) == pytest.approx(np.array([[50, 60], [40, 30]]))


def test_difference_maps_show_each_method_minus_the_reference(grid: Made) -> None:
    panels = draw_difference_maps(*grid, AXES).axes[:2]
    assert [panel.get_title(loc="left") for panel in panels] == ["sync", "hybrid"]
    assert numbers_of(panels[1]) == pytest.approx(np.array([[-2, 4], [3, 14]]))


def test_heat_map_says_what_is_missing(grid: Made) -> None:
    broken = change(without(grid, "async-0-0.h5"), "async-3-0.h5", flags=("never learned",))
    panel = draw_heat_maps(*broken, AXES).axes[0]
    assert {text.get_text() for text in panel.texts} >= {"missing", "flagged"}
