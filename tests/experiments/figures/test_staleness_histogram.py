import numpy as np
import pytest
from made_up_studies import change, make

from hybridmpi.experiments.figures.staleness_histogram import draw_staleness_histogram


def test_shares_are_of_all_seeds_together() -> None:
    made = make(["async"], num_seeds=2)
    made = change(made, "async-0-0.h5", staleness_counts=np.array([10, 30]))
    study, digests = change(made, "async-0-1.h5", staleness_counts=np.array([10, 20, 30]))
    panel = draw_staleness_histogram(study, digests).axes[0]
    assert panel.patches[0].get_data().values == pytest.approx([20, 50, 30])
    assert np.array_equal(panel.patches[0].get_data().edges, [-0.5, 0.5, 1.5, 2.5])


def test_long_tail_is_binned_and_that_is_said() -> None:
    made = make(["async"], num_seeds=1)
    study, digests = change(made, "async-0-0.h5", staleness_counts=np.ones(100, dtype=np.int64))
    panel = draw_staleness_histogram(study, digests).axes[0]
    assert panel.patches[0].get_data().values == pytest.approx([3] * 33 + [1])
    assert panel.texts[0].get_text() == "bins of 3 versions"


def test_run_without_gradients_is_left_out() -> None:
    study, digests = change(
        make(["async"], num_seeds=1), "async-0-0.h5", staleness_counts=np.empty(0, np.int64)
    )
    panel = draw_staleness_histogram(study, digests).axes[0]
    assert panel.texts[0].get_text() == "no gradients"
