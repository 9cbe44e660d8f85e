"""The course of one run: accuracy, losses, threshold and staleness over one time axis."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

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
from hybridmpi.runlog.replacing import replacing
from hybridmpi.runlog.run import Run

MARKED_POINTS = 60
LARGE_STALENESS = 30


class ShownFigure(Figure):
    """A figure that notebooks show, though pyplot doesn't know it."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        FigureCanvasAgg(self).print_png(file)
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
    """Return the figure of a run: four panels that share a time axis."""
    figure = ShownFigure(figsize=(8, 9), dpi=150, layout="constrained")
    panels = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 2, 2))
    for panel, draw in zip(
        panels, (_draw_accuracy, _draw_losses, _draw_threshold, _draw_staleness), strict=True
    ):
        style_axes(panel)
        draw(panel, run)
    panels[-1].set_xlabel("training time (s)")
    panels[-1].set_xlim(0, run.duration_s or 1)
    figure.align_ylabels()
    _title(panels[0], run)
    return figure


def _title(panel: Axes, run: Run) -> None:
    what = f"{run.setting('model', 'name')} on {run.setting('data', 'dataset')}"
    how = (
        f"{run.setting('method', 'preset')} ({run.setting('method', 'aggregation')}), "
        f"{len(run.workers)} workers, batches of {run.setting('data', 'batch_size')}, "
        f"seed {run.setting('run', 'seed')}"
    )
    ending = "" if run.status == "complete" else f"; {run.status}"
    title = panel.set_title(f"{what}\n{how}{ending}", loc="left", fontsize=11)
    title.set_parse_math(False)  # names may hold a "$"


def _draw_accuracy(panel: Axes, run: Run) -> None:
    panel.set_ylabel(f"{run.evaluated_on} accuracy")
    if run.evaluations.empty:
        say_empty(panel, "no evaluations")
        return
    mean = run.interval_mean("test_accuracy")
    label = None if np.isnan(mean) else f"interval mean {mean:.1%}"
    _plot_evaluations(panel, run, "test_accuracy", color=BLUE, label=label)
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    if label:
        panel.legend(frameon=False, loc="lower right")


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
    _plot_evaluations(panel, run, "train_loss", color=ORANGE, label="training subset")
    held_out = f"{run.evaluated_on} set"
    _plot_evaluations(panel, run, "test_loss", color=BLUE, linestyle="--", label=held_out)
    _key(panel)


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
