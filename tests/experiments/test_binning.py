import numpy as np
import pandas as pd

from hybridmpi.experiments.binning import NUM_BINS, time_bins


def test_few_rows_stay_single() -> None:
    table = pd.DataFrame({"time_s": [0.0, 0.0, 5.0], "x": [1, 2, 4]})
    assert time_bins(table).x.mean().tolist() == [1, 2, 4]


def test_many_rows_are_grouped_by_equal_spans_of_time() -> None:
    count = 10 * NUM_BINS
    table = pd.DataFrame({"time_s": np.arange(count) + 3.0, "x": np.arange(count)})
    means = time_bins(table).x.mean()
    assert len(means) == NUM_BINS
    assert means.iloc[0] == 4.5  # 0 to 9
    assert means.iloc[-1] == count - 5.5


def test_empty_spans_have_no_group() -> None:
    table = pd.DataFrame({"time_s": np.r_[np.zeros(500), np.full(500, 9.0)], "x": np.ones(1000)})
    assert time_bins(table).x.sum().tolist() == [500, 500]


def test_one_moment_is_one_group() -> None:
    assert len(time_bins(pd.DataFrame({"time_s": np.zeros(1000)})).time_s.mean()) == 1


def test_no_rows_give_no_groups() -> None:
    assert time_bins(pd.DataFrame({"time_s": [], "x": []})).x.mean().empty
