"""What Jupyter, cron, containers and pipes leave to a command."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from hybridmpi.cli import main, surroundings

MATPLOTLIBRC = "text.usetex: True\nfont.family: No Such Font\nbackend: qtagg\n"


def started(*arguments: object, **added: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own, with nothing in its environment but `added`."""
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    line = [sys.executable, "-P", "-m", "hybridmpi", *map(str, arguments)]
    return subprocess.run(
        line, env=path | added, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    "added",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MATPLOTLIBRC": "rc"},
        {"PYTHONWARNINGS": "error", "PYTHONIOENCODING": "ascii", "TMPDIR": "/not/there"},
    ],
    ids=["Jupyter and a matplotlibrc", "bare, strict and ASCII"],
)
def test_figure_of_a_run_comes_out(
    small_run: Path, tmp_path: Path, added: Mapping[str, str]
) -> None:
    (tmp_path / "rc").write_text(MATPLOTLIBRC)
    added = {name: str(tmp_path / "rc") if text == "rc" else text for name, text in added.items()}
    ended = started("show", small_run, **added)
    assert ended.returncode == 0, ended.stderr
    assert small_run.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_figure_comes_out_where_nobody_reads_the_summary(small_run: Path) -> None:
    closed = f"{sys.executable} -P -m hybridmpi show {small_run} <&- >&- 2>&-"
    ended = subprocess.run(["/bin/sh", "-c", closed], timeout=120, check=False)
    assert ended.returncode == 0
    assert small_run.with_suffix(".png").exists()


def test_home_that_is_missing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    surroundings.settle()
    assert Path(os.environ["HOME"]) == Path("~").expanduser()
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    surroundings.settle()
    assert Path(os.environ["HOME"]).is_dir()


def test_temporary_folder_that_does_not_exist_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    surroundings.settle()
    assert os.environ["TMPDIR"] == str(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    surroundings.settle()
    assert "TMPDIR" not in os.environ


def test_environment_that_is_fit_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)
    before = dict(os.environ)
    assert CliRunner().invoke(main, ["--version"]).exit_code == 0
    assert dict(os.environ) == before


def test_characters_that_the_terminal_lacks_are_replaced(
    small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    named = small_run.rename(small_run.with_name("größe.h5"))
    result = CliRunner(charset="ascii").invoke(main, ["show", "--no-figure", str(named)])
    assert result.exit_code == 0, result.output
    assert "gr??e.h5" in result.output
