import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from hybridmpi.experiments.figures.bands import Band, band_of, draw_band, limits_of, line_of
from hybridmpi.experiments.figures.style import looks

TIME_S = np.array([0.0, 10.0, 20.0])
EVERYTHING = (-np.inf, np.inf)


def test_band_is_the_t_interval_at_each_place() -> None:
    lines = [(TIME_S, np.array([0.0, y, 2 * y])) for y in (1.0, 2.0, 3.0)]
    band = band_of(lines)
    assert band is not None
    # Standard deviation 1, 3 lines: 4.302653 / sqrt(3), the t quantile of 2 degrees of freedom.
    half = 2.484138
    assert band.mean == pytest.approx([0, 2, 4])
    assert band.low == pytest.approx([0, 2 - half, 4 - 2 * half], rel=1e-6)
    assert band.high == pytest.approx([0, 2 + half, 4 + 2 * half], rel=1e-6)
    assert band.num_lines == 3


def test_one_line_has_no_band() -> None:
    band = band_of([(TIME_S, TIME_S)])
    assert band is not None
    assert band.low is band.high is None
    assert np.array_equal(band.mean, TIME_S)


def test_lines_with_places_of_their_own_meet_where_all_have_values() -> None:
    short = np.array([5.0, 15.0]), np.array([5.0, 15.0])
    band = band_of([(TIME_S, TIME_S), short])
    assert band is not None
    assert np.array_equal(band.x, [5, 10, 15])
    assert np.array_equal(band.mean, [5, 10, 15])


def test_lines_that_do_not_overlap_and_empty_ones_have_no_band() -> None:
    assert band_of([(TIME_S, TIME_S), (TIME_S + 30, TIME_S)]) is None
    assert band_of([(np.empty(0), np.empty(0))]) is None
    assert band_of([]) is None


def test_mean_ends_where_a_line_is_not_finite() -> None:
    table = pd.DataFrame({"time_s": TIME_S, "test_loss": [2.0, 1.0, np.inf]})
    band = band_of([line_of(table, "time_s", "test_loss"), (TIME_S, np.array([2.0, 1.0, 0.0]))])
    assert band is not None
    assert band.mean == pytest.approx([2, 1, np.nan], nan_ok=True)
    panel = Figure().subplots()
    draw_band(panel, band, looks(["async"])["async"])
    cross = panel.lines[-1]
    assert (cross.get_marker(), *cross.get_xydata()[0]) == ("x", 10, 1)


def band(mean: list[float], half: float) -> Band:
    values = np.array(mean)
    return Band(TIME_S, values, values - half, values + half, 2)


def test_limits_hold_means_and_small_bands() -> None:
    low, high = limits_of([band([1, 2, 3], 0.1)], EVERYTHING) or (0, 0)
    assert low == pytest.approx(0.9 - 0.1)
    assert high == pytest.approx(3.1 + 0.1)


def test_wide_bands_are_cut_before_means_become_flat() -> None:
    low, high = limits_of([band([1, 2, 3], 50)], EVERYTHING) or (0, 0)
    assert (low, high) == pytest.approx((0 - 0.1, 4 + 0.1))


def test_line_that_diverges_leaves_the_rest_readable() -> None:
    _, high = limits_of([band([1, 1e8, np.nan], 0), band([3, 2, 1], 0)], (0, 5)) or (0, 0)
    assert high < 5
    assert limits_of([band([1e8, 1e8, np.nan], 0)], (0, 5)) is None
