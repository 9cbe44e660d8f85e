"""The course of one run: what it is measured by, threshold and staleness over one time axis."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from hybridmpi.core.metrics import TEST_LOSS, TRAIN_LOSS
from hybridmpi.errors import UserError, nearest
from hybridmpi.experiments.binning import time_bins
from hybridmpi.experiments.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    plain_style,
    say_empty,
    style_axes,
)
from hybridmpi.experiments.metrics import ShownMetric, shown
from hybridmpi.runlog.replacing import replacing
from hybridmpi.runlog.run import Run

MARKED_POINTS = 60
LARGE_STALENESS = 30
DECADES = 100
Draw = Callable[[Axes, Run], None]


class ShownFigure(Figure):
    """A figure that notebooks show, though pyplot doesn't know it."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def save_run_figure(run: Run, path: Path) -> None:
    """Draw a run's figure into a file; the suffix says the format.

    Raises:
        UserError: If matplotlib has no such format, or the file cannot be written.
    """
    form = path.suffix.lstrip(".").lower()
    formats = FigureCanvasAgg.get_supported_filetypes()
    if form not in formats:
        raise UserError(f"'{path}' asks for the format '{form}'; {nearest(form, formats)}")
    with plain_style(), replacing(path) as beside:
        draw_run(run).savefig(beside, format=form)


def draw_run(run: Run) -> Figure:
    """Return the figure of a run: panels that share a time axis.

    Each metric has a panel of its own, but losses share one with those of the mini-batches.
    """
    metrics = [metric for metric in map(shown, run.metrics) if not metric.is_loss]
    draws: list[Draw] = [*(partial(_draw_metric, metric) for metric in metrics), _draw_losses]
    heights = [3] * len(draws) + [2, 2]
    figure = ShownFigure(figsize=(8, 0.9 * sum(heights)), dpi=150, layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    for panel, draw in zip(panels, (*draws, _draw_threshold, _draw_staleness), strict=True):
        style_axes(panel)
        draw(panel, run)
    panels[-1].set_xlabel("training time (s)")
    panels[-1].set_xlim(0, run.duration_s or 1)
    figure.align_ylabels()
    _title(panels[0], run)
    return figure


def _title(panel: Axes, run: Run) -> None:
    what = " on ".join(reversed(run.learned.values()))
    how = (
        f"{run.setting('method', 'preset')} ({run.setting('method', 'aggregation')}), "
        f"{len(run.workers)} workers, batches of {run.setting('data', 'batch_size')}, "
        f"seed {run.setting('run', 'seed')}"
    )
    ending = "" if run.status == "complete" else f"; {run.status}"
    title = panel.set_title(f"{what}\n{how}{ending}", loc="left", fontsize=11)
    title.set_parse_math(False)  # names may hold a "$"


def _draw_metric(metric: ShownMetric, panel: Axes, run: Run) -> None:
    name = metric.label_on(run.evaluated_on)
    panel.set_ylabel(f"{name} ({metric.unit})" if metric.unit and not metric.is_fraction else name)
    if run.evaluations.empty:
        say_empty(panel, "no evaluations")
        return
    mean = run.interval_mean(metric.name)
    shown_mean = f"{mean:.1%}" if metric.is_fraction else metric.value(mean)
    label = None if np.isnan(mean) else f"interval mean {shown_mean}"
    _plot_evaluations(panel, run, metric.name, color=BLUE, label=label)
    if metric.is_fraction:
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    elif _spans_decades(run.evaluations[metric.name]):
        panel.set_yscale("log")
    if label:
        panel.legend(frameon=False, loc="lower right" if metric.higher_is_better else "upper right")


def _spans_decades(values: pd.Series) -> bool:
    """Say whether values are all above 0, and so far apart that a line shows the largest only."""
    finite = values[np.isfinite(values)]
    return len(finite) > 0 and bool(finite.min() > 0 and finite.max() > DECADES * finite.min())


def _draw_losses(panel: Axes, run: Run) -> None:
    panel.set_ylabel("loss")
    gradients = run.gradients[np.isfinite(run.gradients.loss)]
    if gradients.empty and run.evaluations.empty:
        say_empty(panel, "no gradients and no evaluations")
        return
    bins = time_bins(gradients)
    time_s, loss = bins.time_s.mean(), bins.loss
    low, high = loss.quantile(0.1), loss.quantile(0.9)
    panel.fill_between(
        time_s, low, high, color=GREY, alpha=0.25, lw=0, label="mini-batches, 10 to 90 %"
    )
    panel.plot(time_s, loss.mean(), color=GREY, lw=0.9, label="their mean")
    for metric in reversed([metric for metric in map(shown, run.metrics) if metric.is_loss]):
        _plot_evaluations(panel, run, metric.name, **_loss_line(metric, run))
    _key(panel)


def _loss_line(metric: ShownMetric, run: Run) -> dict[str, Any]:
    """Return how a loss is drawn: known ones by the sets that they are of, others by name."""
    if metric.name == TRAIN_LOSS.name:
        return {"color": ORANGE, "label": "training subset"}
    if metric.name == TEST_LOSS.name:
        return {"color": BLUE, "linestyle": "--", "label": f"{run.evaluated_on} set"}
    return {"label": metric.label_on(run.evaluated_on)}


def _draw_threshold(panel: Axes, run: Run) -> None:
    panel.set_ylabel("gradients")
    if run.steps.empty:
        say_empty(panel, "no steps")
        return
    bins = time_bins(run.steps)
    time_s = bins.time_s.mean()
    panel.scatter(
        time_s,
        bins.gradients.mean(),
        s=24,
        color=GREEN,
        alpha=0.6,
        lw=0,
        label="gradients in the step",
    )
    panel.step(time_s, bins.threshold.last(), color=BLACK, lw=1.2, where="post", label="threshold")
    panel.set_ylim(bottom=0)
    panel.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    _key(panel)


def _draw_staleness(panel: Axes, run: Run) -> None:
    panel.set_ylabel("staleness\n(versions)")
    if run.steps.empty:
        say_empty(panel, "no steps")
        return
    bins = time_bins(run.steps)
    time_s, largest = bins.time_s.mean(), bins.max_staleness.max()
    panel.fill_between(time_s, 0, largest, color=VERMILION, alpha=0.25, lw=0, label="largest")
    panel.plot(time_s, bins.mean_staleness.mean(), color=VERMILION, label="mean of a step")
    if largest.max() > LARGE_STALENESS:
        # Stragglers of an asynchronous phase would flatten all the rest.
        panel.set_yscale("symlog", linthresh=1, linscale=0.5)
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panel.set_ylim(bottom=0)
    _key(panel)


def _plot_evaluations(panel: Axes, run: Run, column: str, **line: Any) -> None:
    grid = run.evaluations.sort_values("time_s", kind="stable")
    marker = "o" if len(grid) <= MARKED_POINTS else ""
    # Unclipped, so that the markers at both ends of the axis are whole.
    panel.plot(grid.time_s, grid[column], marker=marker, ms=4, clip_on=False, **line)


def _key(panel: Axes) -> None:
    panel.legend(frameon=False, fontsize=9, ncols=4, loc="lower right", bbox_to_anchor=(1, 0.98))
