from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hybridmpi import read_run
from hybridmpi.errors import UserError
from hybridmpi.experiments.run_figure import draw_run, save_run_figure
from hybridmpi.runlog.schema import STEPS
from hybridmpi.runlog.writer import RunWriter


def test_panels_show_the_run(small_run: Path) -> None:
    accuracy, losses, threshold, staleness = draw_run(read_run(small_run)).axes
    assert np.array_equal(accuracy.lines[0].get_ydata(), [0.1, 0.5, 0.6])
    assert "46.7%" in accuracy.get_legend().get_texts()[0].get_text()
    assert [text.get_text() for text in losses.get_legend().get_texts()] == [
        *("mini-batches, 10 to 90 %", "their mean", "training subset", "test set")
    ]
    assert np.array_equal(threshold.lines[0].get_ydata(), [1, 2])
    assert np.array_equal(staleness.lines[0].get_ydata(), [0, 0.5])
    assert staleness.get_xlim() == (0, 30)


def test_loss_that_is_not_finite_is_left_out(small_run: Path) -> None:
    losses = draw_run(read_run(small_run)).axes[1]
    assert np.array_equal(losses.lines[0].get_ydata(), [2.5, 2.0, 1.0, 0.5])


def test_title_names_the_run_and_how_it_ended(new_run: Callable[..., RunWriter]) -> None:
    writer = new_run()
    writer.close("stopped")
    title = draw_run(read_run(writer.path)).axes[0].get_title(loc="left")
    assert title.startswith("lenet on digits\nhybrid (mean), 2 workers, batches of 32, seed 3")
    assert title.endswith("stopped")


def test_empty_run_says_so(new_run: Callable[..., RunWriter], tmp_path: Path) -> None:
    run = read_run(new_run().path)
    texts = [panel.texts[0].get_text() for panel in draw_run(run).axes]
    assert texts == ["no evaluations", "no gradients and no evaluations", "no steps", "no steps"]
    save_run_figure(run, tmp_path / "empty.png")


def test_run_with_evaluations_alone_is_drawn(
    new_run: Callable[..., RunWriter], tmp_path: Path
) -> None:
    writer = new_run()
    writer.evaluation(0.0, 0, 0.0, {"train_loss": 2.3, "test_loss": 2.3, "test_accuracy": 0.1})
    writer.close("failed")
    save_run_figure(read_run(writer.path), tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_large_staleness_does_not_flatten_the_rest(new_run: Callable[..., RunWriter]) -> None:
    writer = new_run()
    rows = [(v / 20, v, 1, 1, 0.01, 1.0, 400 if v == 3 else 2, 2.0) for v in range(1, 2001)]
    writer.append(STEPS, STEPS.to_array(rows))
    writer.close("complete")
    *_, threshold, staleness = draw_run(read_run(writer.path)).axes
    assert staleness.get_yscale() == "symlog"
    assert len(threshold.lines[0].get_ydata()) == 300


def test_format_follows_the_suffix(small_run: Path, tmp_path: Path) -> None:
    save_run_figure(read_run(small_run), tmp_path / "run.pdf")
    assert (tmp_path / "run.pdf").read_bytes().startswith(b"%PDF")


def test_unknown_format_is_refused(small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="format 'pngg'; did you mean 'png'"):
        save_run_figure(read_run(small_run), tmp_path / "run.pngg")
