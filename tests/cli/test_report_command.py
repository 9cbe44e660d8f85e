from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from hybridmpi.cli import main


def report(*arguments: Path | str, exit_code: int = 0) -> str:
    """Run the command; return all that it prints."""
    given = ["report", *map(str, arguments)]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == exit_code, result.output
    return result.output


def test_run_files_become_a_report_with_differences(compared_runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    output = report(*compared_runs.glob("*.h5"), "--out", out)
    assert "Nothing was asked before the runs" in output
    assert "+2.10 (+1.85 to +2.35)" in output  # gains of 2.0, 2.1 and 2.2 points
    for page in ("report.html", "report.md"):
        assert "+2.10 (+1.85 to +2.35)" in (out / page).read_text()
    assert len((out / "tables" / "verdicts.csv").read_text().splitlines()) == 2
    assert (out / "figures" / "forest.svg").is_file()


def test_experiment_is_reported_on_in_its_own_folder(
    compared_runs: Path, write_plan: Callable[..., None]
) -> None:
    folder = compared_runs.parent
    write_plan(folder)
    output = report(folder)
    assert "1 comparison with async by test accuracy: 1 without a verdict." in output
    assert "3 pairs are too few" in output
    assert f"wrote {folder / 'report.html'}" in output
    assert (folder / "tables" / "targets.csv").is_file()


def test_nothing_to_report_on_is_bad_input(tmp_path: Path) -> None:
    assert "holds no run files" in report(tmp_path, exit_code=2)
    assert not (tmp_path / "report.html").exists()
