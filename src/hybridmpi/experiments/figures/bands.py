"""The mean of one method's lines over its seeds, with its t interval at each place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy import stats

from hybridmpi.experiments.figures.style import Look

MOST_POINTS = 300
NUM_MARKERS = 7
LineOf = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Band:
    """Mean and 95 % t interval of several lines, at each place by itself.

    Where one of the lines has no finite value the mean has none either: a mean over those that
    are left would look better than the method is.

    Attributes:
        x: The places, shape [n].
        mean: Mean of the lines, shape [n], NaN where a line has no finite value.
        low: Lower end of the interval, shape [n]; None with fewer than two lines.
        high: Its upper end.
        num_lines: How many lines it is about.
    """

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None
    num_lines: int


def line_of(table: pd.DataFrame, x: str, y: str, scale: float = 1.0) -> LineOf:
    """Return two columns of a table as a line; values that aren't finite become NaN.

    A table without the column has no line.
    """
    if y not in table:
        return np.empty(0), np.empty(0)
    values = table[y].to_numpy(dtype=np.float64)
    return (
        table[x].to_numpy(dtype=np.float64),
        np.where(np.isfinite(values), values, np.nan) * scale,
    )


def band_of(lines: Sequence[LineOf]) -> Band | None:
    """Return the mean of lines and its t interval; None without lines that overlap.

    Lines with places of their own are interpolated to evenly spaced places that all have.
    """
    lines = [line for line in lines if len(line[0])]
    if not lines:
        return None
    x, values = on_common_places(lines)
    if not len(x):
        return None
    mean, num_lines = values.mean(axis=0), len(lines)
    if num_lines < 2:
        return Band(x, mean, None, None, num_lines)
    error = values.std(axis=0, ddof=1) / np.sqrt(num_lines)
    half = stats.t.ppf(0.975, num_lines - 1) * error
    return Band(x, mean, mean - half, mean + half, num_lines)


def on_common_places(
    lines: Sequence[LineOf],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places that all lines have, shape [n], and the lines' values there, [lines, n]."""
    first = lines[0][0]
    if all(np.array_equal(first, x) for x, _ in lines):
        return first, np.stack([y for _, y in lines])
    start, end = max(x[0] for x, _ in lines), min(x[-1] for x, _ in lines)
    if end < start:
        return np.empty(0), np.empty((len(lines), 0))
    num_places = min(max(len(x) for x, _ in lines), MOST_POINTS)
    places = np.linspace(start, end, num_places)
    return places, np.stack([np.interp(places, x, y) for x, y in lines])


def draw_band(panel: Axes, band: Band, look: Look, turn: int = 0, alpha: float = 0.18) -> None:
    """Draw a band and its mean; a cross ends a mean that breaks off.

    Args:
        panel: Where to draw.
        band: What to draw.
        look: How.
        turn: Number of the line in its panel, so that the markers of lines don't coincide.
        alpha: Opacity of the band.
    """
    if band.low is not None and band.high is not None:
        panel.fill_between(band.x, band.low, band.high, color=look.color, alpha=alpha, lw=0)
    every = max(1, len(band.x) // NUM_MARKERS)
    panel.plot(
        band.x,
        band.mean,
        **look.line(),
        lw=1.6,
        marker=look.marker,
        ms=4,
        markevery=(turn * max(1, every // 3) % every, every),
    )
    finite = np.flatnonzero(np.isfinite(band.mean))
    if len(finite) and finite[-1] < len(band.mean) - 1:
        last = finite[-1]
        panel.plot(band.x[last], band.mean[last], marker="x", ms=8, mew=2, color=look.color)


def limits_of(bands: Iterable[Band], bounds: tuple[float, float]) -> tuple[float, float] | None:
    """Return limits that show the means, and bands as far as these leave the means readable.

    Intervals of two runs are often ten times as wide as anything that the means do. What lies
    beyond the bounds doesn't count: such a line leaves the panel.
    """
    bands = list(bands)
    means = _finite([band.mean for band in bands])
    means = means[(bounds[0] <= means) & (means <= bounds[1])]
    if not len(means):
        return None
    low, high = means.min(), means.max()
    room = 0.5 * (high - low) or 0.05 * abs(high) or 0.5
    ends = [end for band in bands for end in (band.low, band.high) if end is not None]
    edges = np.append(_finite(ends), means)
    margin = 0.1 * room
    bottom = max(edges.min(), low - room, bounds[0])
    top = min(edges.max(), high + room, bounds[1])
    return float(bottom - margin), float(top + margin)


def _finite(arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.concatenate([np.empty(0), *arrays])
    return values[np.isfinite(values)]
