import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hybridmpi.cli import launch as launch_module
from hybridmpi.cli import main
from hybridmpi.launcher import CommandLine, Mpi, Mpirun, Vendor
from hybridmpi.runlog.writer import RunWriter
from hybridmpi.supervise import Ending

JOB = """
run = { time_limit_s = 1 }
method = { preset = "sync" }
evaluation = { every_s = 1 }
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(
        launch_module, "matching_mpirun", lambda _: Mpirun("mpirun", Mpi(Vendor.MPICH, "5.0"))
    )
    monkeypatch.setattr(launch_module, "find_library", lambda: Mpi(Vendor.MPICH, "5.0"))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launch_module, "usable_cores", lambda: 10)
    path = tmp_path / "job.toml"
    path.write_text(JOB)
    return str(path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["launch", *arguments])


def test_options_of_train_are_passed_on_in_any_order(job: str) -> None:
    result = invoke("--force", job, "--print", "--set", "run.seed=2", "-n", "5")
    assert result.exit_code == 0, result.output
    assert shlex.split(result.stdout) == [
        *("OMP_NUM_THREADS=2", "HYBRIDMPI_SHARED_THREADS=1"),
        *("mpirun", "-n", "5", "-bind-to", "none"),
        *(sys.executable, "-P", "-m", "mpi4py", "-m", "hybridmpi"),
        *("train", "--force", job, "--set", "run.seed=2"),
    ]


def test_line_is_shown_then_run_and_its_exit_code_returned(
    job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[CommandLine] = []

    def fake_supervise(line: CommandLine) -> int:
        ran.append(line)
        return 7

    monkeypatch.setattr(launch_module, "supervise", fake_supervise)
    result = invoke("-n", "2", job)
    assert result.exit_code == 7
    assert result.stdout == ""
    assert result.stderr == f"{ran[0]}\n"


@pytest.mark.parametrize(
    ("is_there", "is_open", "exit_code"), [(True, False, 0), (True, True, 1), (False, True, 1)]
)
def test_exit_code_of_a_run_that_did_not_end_is_not_0(
    job: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    new_run: Callable[..., RunWriter],
    is_there: bool,
    is_open: bool,
    exit_code: int,
) -> None:
    def fake_supervise(_: CommandLine) -> int:
        if is_there:
            writer = new_run()
            writer.flush()
            killed = (tmp_path / "run.h5").read_bytes()
            writer.close("complete")
            if is_open:
                (tmp_path / "run.h5").write_bytes(killed)
        return 0

    monkeypatch.setattr(launch_module, "supervise", fake_supervise)
    result = invoke("-n", "2", job, "--set", f"run.output={tmp_path / 'run.h5'}")
    assert result.exit_code == exit_code
    assert ("ended with exit code 0, but before the run did" in result.stderr) is bool(exit_code)


def test_terminal_gets_the_live_panel_at_its_size(
    job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "123")
    monkeypatch.setenv("LINES", "45")
    monkeypatch.setattr(launch_module, "_is_terminal", lambda: True)
    words = shlex.split(invoke("-n", "2", job, "--print").stdout)
    assert words[words.index("train") :] == ["train", "--live", job]
    assert {"COLUMNS=123", "LINES=45"} <= set(words)


def test_job_file_is_looked_for_before_mpirun_starts(job: str) -> None:
    result = invoke("-n", "2", f"{job}.missing")
    assert result.exit_code == 2
    assert f"{job}.missing" in result.stderr


def test_mistake_in_the_job_is_told_before_mpirun_starts(job: str) -> None:
    result = invoke("-n", "2", job, "--set", "run.sed=3")
    assert result.exit_code == 2
    assert "did you mean 'seed'?" in result.stderr


def test_option_that_train_does_not_know_is_refused_once(job: str) -> None:
    result = invoke("-n", "2", job, "--fore")
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: hybridmpi train")
    assert "--fore" in result.stderr


def test_one_rank_is_refused(job: str) -> None:
    result = invoke("-n", "1", job)
    assert result.exit_code == 2
    assert "the number of ranks is 1" in result.stderr


def test_environment_of_this_process_stays_as_it_is(job: str) -> None:
    before = dict(os.environ)
    invoke("-n", "2", job, "--print")
    assert dict(os.environ) == before


@pytest.fixture
def allocation(job: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - which has none
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)


@pytest.mark.usefixtures("allocation")
def test_srun_starts_ranks_with_the_cores_of_all_nodes(job: str) -> None:
    words = shlex.split(invoke("-n", "5", "--srun", job, "--print").stdout)
    assert words[0] == "OMP_NUM_THREADS=4"
    assert words[2:6] == ["srun", "-n", "5", "--mpi=pmi2"]
    assert words[-2:] == ["train", job]


@pytest.mark.usefixtures("allocation", "folder")
def test_job_that_may_be_requeued_goes_on_and_only_then_replaces(
    job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("-n", "2", "--requeue", job, "--set", "checkpoint.every_s=60", "--print")
    assert shlex.split(invoke(*options).stdout)[-3:] == [
        "--set",
        "checkpoint.every_s=60",
        "--go-on",
    ]
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert shlex.split(invoke(*options).stdout)[-2:] == ["--go-on", "--force"]


def test_name_that_no_rank_could_load_is_told_before_mpirun_starts(job: str) -> None:
    result = invoke("-n", "2", job, "--set", "data.dataset=digts")
    assert result.exit_code == 2
    assert "data set 'digts' is unknown" in result.stderr


@pytest.mark.usefixtures("allocation", "folder")
def test_job_that_did_not_begin_its_run_is_not_requeued(
    job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_module, "supervise_to_end", lambda *_, **__: Ending(7, None))
    result = invoke("-n", "2", "--requeue", job, "--set", "checkpoint.every_s=60")
    assert result.exit_code == 7
    assert "is not begun, not complete: its ranks ended with exit code 7" in result.stderr


@pytest.mark.usefixtures("allocation")
def test_job_without_checkpoints_is_not_started_to_be_requeued(job: str) -> None:
    result = invoke("-n", "2", "--requeue", job)
    assert result.exit_code == 2
    assert "asks for no checkpoints" in result.stderr


@pytest.mark.parametrize("option", ["--srun", "--requeue"])
def test_options_of_slurm_are_refused_elsewhere(job: str, option: str) -> None:
    result = invoke("-n", "2", option, job)
    assert result.exit_code == 2
    assert "SLURM_JOB_ID is not set" in result.stderr
