from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from hybridmpi.cli.show import show
from hybridmpi.errors import UserError
from hybridmpi.runlog.writer import RunWriter

PNG = b"\x89PNG"


def run_show(*arguments: Path | str) -> str:
    result = CliRunner().invoke(show, [str(argument) for argument in arguments])
    if result.exception:
        raise result.exception
    return result.output


def test_summary_is_printed_and_the_figure_lies_beside_the_run(small_run: Path) -> None:
    output = run_show(small_run)
    assert "hybrid (mean)" in output
    assert f"wrote {small_run.with_suffix('.png')}" in output
    assert small_run.with_suffix(".png").read_bytes().startswith(PNG)


def test_figure_goes_where_it_is_asked_to(small_run: Path, tmp_path: Path) -> None:
    run_show(small_run, "--out", tmp_path / "figures" / "one.png")
    assert (tmp_path / "figures" / "one.png").read_bytes().startswith(PNG)
    assert not small_run.with_suffix(".png").exists()


def test_no_figure_is_drawn_when_none_is_wanted(small_run: Path) -> None:
    assert "wrote" not in run_show(small_run, "--no-figure")
    assert not small_run.with_suffix(".png").exists()


def test_running_run_can_be_looked_at(new_run: Callable[..., RunWriter]) -> None:
    assert "running" in run_show(new_run().path)


def test_options_that_exclude_each_other_are_refused(small_run: Path) -> None:
    with pytest.raises(UserError, match="exclude each other"):
        run_show(small_run, "--no-figure", "--out", "a.png")


def test_missing_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not there"):
        run_show(tmp_path / "run.h5")
