"""The figures of the page, drawn from the CSV files."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from findings.dots import draw_dots
from findings.gains import draw_gains
from findings.numbers import findings_of
from hybridmpi.experiments.figures.cell_map import map_axes
from hybridmpi.experiments.figures.curves import draw_curves
from hybridmpi.experiments.figures.forest import draw_forest
from hybridmpi.experiments.figures.win_map import draw_win_map
from hybridmpi.experiments.report.findings import Findings

DPI = 110  # at which a figure of 7 inches fills a page's column


def write_figure(name: str, folder: Path) -> None:
    """Draw the figure of an experiment that has been run."""
    found = findings_of(name, folder)
    assert found is not None
    for suffix, draw in FIGURES.get(name, {"": draw_gains()}).items():
        figure = draw(found)
        path = folder / f"{name}{suffix}.png"
        figure.savefig(path, dpi=DPI, metadata={"Software": None})


def _curves(found: Findings) -> Figure:
    return draw_curves(found.study, found.digests)


def _forest(found: Findings) -> Figure:
    return draw_forest(found.study, found.digests)


def _win_map(found: Findings) -> Figure:
    axes = map_axes(found.study)
    assert axes is not None
    return draw_win_map(found.study, found.digests, axes, rivals=["async"])


_THRESHOLD = ("initial", "increment", "every")

FIGURES: dict[str, dict[str, Callable[[Findings], Figure]]] = {
    "significance": {"": draw_gains(), "-curves": _curves},
    "significance-best": {"": _forest, "-curves": _curves},
    "significance-batch-delay": {"": _forest},
    "cifar10": {
        "": draw_gains(
            {
                "readings of the paper": (
                    "hybrid",
                    "hybrid-5",
                    "hybrid-linear",
                    "hybrid-sqrt",
                    "hybrid-sum",
                    "hybrid-continue",
                    "hybrid-sum-continue",
                ),
                "beside the baselines": (
                    "hybrid",
                    "sync",
                    "k-async-3",
                    "k-async-6",
                    "k-batch-async-3",
                    "m-sync-13",
                    "m-sync-20",
                ),
            }
        )
    },
    "ablation": {"": _forest},
    "threshold_sensitivity": {"": draw_dots(*(f"method.threshold.{part}" for part in _THRESHOLD))},
    "delays": {"": _win_map},
    "network": {"": draw_dots("simulate")},
    "long_run": {"": _curves},
}
