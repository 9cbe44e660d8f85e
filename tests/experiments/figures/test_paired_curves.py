import pytest
from made_up_studies import make, with_curve, without

from hybridmpi.experiments.figures.paired_curves import draw_paired_curves

VALUES = {
    ("async", 0): [0.1, 0.4, 0.5],
    ("async", 1): [0.1, 0.5, 0.6],
    ("hybrid", 0): [0.1, 0.5, 0.4],
    ("hybrid", 1): [0.1, 0.6, 0.5],
}


def test_lines_are_mean_paired_differences_in_points() -> None:
    made = make(["async", "hybrid"], num_seeds=2)
    study, digests = with_curve(made, lambda place: VALUES[place.variant, place.seed])
    panel = draw_paired_curves(study, digests).axes[0]
    zero, line = panel.lines
    assert list(zero.get_ydata()) == [0, 0]
    assert line.get_ydata() == pytest.approx([0, 10, -10], abs=1e-9)
    # All pairs differ by the same: the paired band has no width, though the runs vary.
    assert panel.collections[0].get_paths()[0].vertices[:, 1] == pytest.approx(
        [*[0, 0, 10, -10, -10], *[-10, 10, 0, 0]], abs=1e-9
    )
    assert "minus async" in panel.get_ylabel().replace("\n", " ")


def test_seed_without_its_pair_is_left_out() -> None:
    made = make(["async", "hybrid"], num_seeds=2)
    study, digests = with_curve(made, lambda place: VALUES[place.variant, place.seed])
    panel = draw_paired_curves(*without((study, digests), "async-0-1.h5")).axes[0]
    assert panel.get_title(loc="left") == "n = 1 seed"
    assert not panel.collections


def test_no_pairs_are_said_to_be_none() -> None:
    study, digests = without(make(["async", "hybrid"], num_seeds=1), "async-0-0.h5")
    panel = draw_paired_curves(study, digests).axes[0]
    assert panel.texts[0].get_text() == "no pairs with async"
