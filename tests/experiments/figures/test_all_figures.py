from collections.abc import Callable
from functools import partial

import pytest
from made_up_studies import Made, make
from matplotlib.figure import Figure

from hybridmpi.experiments.figures.course import draw_threshold_and_staleness
from hybridmpi.experiments.figures.curves import draw_curves
from hybridmpi.experiments.figures.forest import draw_forest
from hybridmpi.experiments.figures.heat_maps import draw_difference_maps, draw_heat_maps
from hybridmpi.experiments.figures.paired_curves import draw_paired_curves
from hybridmpi.experiments.figures.staleness_histogram import draw_staleness_histogram
from hybridmpi.experiments.figures.win_map import draw_win_map
from hybridmpi.experiments.figures.worker_shares import draw_worker_shares

AXES = ("optimizer.learning_rate", "delays.max_s")
GRID = {"optimizer__learning_rate": [0.01, 0.1], "delays__max_s": [0.0, 1.0]}
FIGURES: dict[str, Callable[..., Figure]] = {
    "curves": draw_curves,
    "paired curves": draw_paired_curves,
    "threshold and staleness": draw_threshold_and_staleness,
    "forest": draw_forest,
    "staleness": draw_staleness_histogram,
    "worker shares": draw_worker_shares,
    "heat maps": partial(draw_heat_maps, axes=AXES),
    "difference maps": partial(draw_difference_maps, axes=AXES),
    "win map": partial(draw_win_map, axes=AXES),
}
LONG = [f"hybrid, linear in gradients, with the aggregation of paragraph {i}" for i in range(17)]
SITUATIONS: dict[str, Callable[[], Made]] = {
    "no runs": lambda: (make(num_seeds=1, **GRID)[0], {}),
    "one seed": lambda: make(num_seeds=1, **GRID),
    "one cell, 20 long names": lambda: make(
        ["async", "sync", "hybrid", *LONG], 1, optimizer__learning_rate=[0.1], delays__max_s=[1.0]
    ),
}


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_laid_out_in_every_situation(name: str, situation: str) -> None:
    figure = FIGURES[name](*SITUATIONS[situation]())
    figure.draw_without_rendering()  # warns, which is an error here, if something does not fit
    assert all(panel.get_position().height > 0.05 for panel in figure.axes)
