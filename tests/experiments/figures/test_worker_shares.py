import numpy as np
import pandas as pd
import pytest
from made_up_studies import change, make

from hybridmpi.experiments.figures.worker_shares import draw_worker_shares

WORKERS = pd.DataFrame(
    {"rank": [1, 2, 3, 4], "delayed": [False, True, False, False], "gradients": [30, 10, 40, 20]}
)


def test_each_worker_is_a_point_and_delayed_ones_are_hollow() -> None:
    study, digests = change(make(["async"], num_seeds=1), "async-0-0.h5", workers=WORKERS)
    panel = draw_worker_shares(study, digests).axes[0]
    punctual, delayed = panel.collections
    assert list(punctual.get_offsets()[:, 0]) == pytest.approx([30, 40, 20])
    assert list(delayed.get_offsets()[:, 0]) == pytest.approx([10])
    assert len(punctual.get_facecolors()) == 1
    assert not len(delayed.get_facecolors())
    assert np.array_equal(panel.lines[0].get_xdata(), [25, 25])


def test_workers_of_all_seeds_are_drawn_in_the_row_of_their_method() -> None:
    panel = draw_worker_shares(*make(num_seeds=3)).axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["async", "sync", "hybrid"]
    rows = [np.round(points.get_offsets()[:, 1].mean()) for points in panel.collections]
    assert rows == [0, 0, 1, 1, 2, 2]
    assert sum(len(points.get_offsets()) for points in panel.collections) == 3 * 3 * 6


def test_run_without_gradients_is_left_out() -> None:
    idle = WORKERS.assign(gradients=0)
    study, digests = change(make(["async"], num_seeds=1), "async-0-0.h5", workers=idle)
    assert draw_worker_shares(study, digests).axes[0].texts[0].get_text() == "no gradients"
