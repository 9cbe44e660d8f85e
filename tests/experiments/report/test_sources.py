from collections.abc import Callable
from pathlib import Path

import pytest

from hybridmpi.errors import UserError
from hybridmpi.experiments.report.findings import Findings, find
from hybridmpi.experiments.report.sources import read_sources
from hybridmpi.experiments.report.summary import summary

WriteRun = Callable[..., Path]
WritePlan = Callable[..., None]


def findings_of(*sources: Path) -> Findings:
    read = read_sources(sources)
    return find(read.study, read.digests)


def told(*sources: Path) -> str:
    """Return a report's summary."""
    return " ".join(note.text for note in summary(findings_of(*sources)))


def refusal(*sources: Path) -> str:
    with pytest.raises(UserError) as error:
        read_sources(sources)
    return str(error.value)


def test_experiment_with_missing_runs_says_which(
    compared_runs: Path, write_plan: WritePlan
) -> None:
    write_plan(compared_runs.parent, seeds=4)
    output = told(compared_runs.parent)
    assert "2 of 8 declared runs are missing: async seed 3, hybrid seed 3" in output
    assert "the family is incomplete" in output


def test_experiment_without_any_run_is_refused(tmp_path: Path, write_plan: WritePlan) -> None:
    write_plan(tmp_path)
    assert "holds none of its 6 runs yet" in refusal(tmp_path)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "holds no run files" in refusal(tmp_path)


def test_experiment_beside_other_files_is_refused(
    compared_runs: Path, write_plan: WritePlan
) -> None:
    write_plan(compared_runs.parent)
    assert "name it alone" in refusal(compared_runs.parent, compared_runs)


def test_file_that_is_no_run_is_refused_where_there_is_no_other(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no run")
    assert "is not an HDF5 file" in refusal(tmp_path / "text.h5")


def test_file_that_cannot_be_read_is_told_beside_a_report_on_the_others(
    compared_runs: Path, tmp_path: Path
) -> None:
    (compared_runs / "torn.h5").write_text("no run")
    output = told(compared_runs, tmp_path / "gone.h5")
    assert "torn.h5' is not an HDF5 file" in output
    assert "gone.h5' is not there" in output


def test_one_run_only_has_a_report_that_says_so(compared_runs: Path) -> None:
    output = told(compared_runs / "hybrid-0.h5")
    assert "only runs of one method, hybrid" in output


def test_runs_with_another_end_are_not_compared(compared_runs: Path, write_run: WriteRun) -> None:
    write_run(compared_runs / "async-9.h5", "async", 9)
    write_run(compared_runs / "hybrid-9.h5", "hybrid", 9, end_s=20.0)
    assert "T, the time of the last evaluation in s (20.0, 10.0)" in told(compared_runs)
    (comparison,) = findings_of(compared_runs).comparisons
    assert comparison.pairs.seeds_without_pair == [9]


def test_unfinished_run_is_left_out_and_told(compared_runs: Path, write_run: WriteRun) -> None:
    write_run(compared_runs / "hybrid-9.h5", "hybrid", 9, status="running")
    output = told(compared_runs)
    assert "1 unfinished (running, or killed), left out of all comparisons: hybrid-9.h5" in output


def test_simulated_and_mpi_runs_are_kept_apart(compared_runs: Path, write_run: WriteRun) -> None:
    for preset in ("async", "hybrid"):
        for seed in range(3):
            path = compared_runs / f"mpi-{preset}-{seed}.h5"
            write_run(path, preset, seed, engine="mpi")
    assert "12 run files (6 MPI, 6 simulated)" in told(compared_runs)
    comparisons = findings_of(compared_runs).comparisons
    assert [dict(each.method.cell)["engine"] for each in comparisons] == ["mpi", "simulate"]
    assert all(not each.pairs.seeds_without_pair for each in comparisons)
