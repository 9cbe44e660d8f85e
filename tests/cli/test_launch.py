import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hybridmpi import launched
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
    for name in (
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS"),
        *("SLURM_JOB_ID", "SLURM_STEP_NUM_TASKS", "SLURM_PTY_PORT"),
    ):
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


def ends_with(
    monkeypatch: pytest.MonkeyPatch, ending: Ending, act: Callable[[], None] = lambda: None
) -> list[CommandLine]:
    """Have mpirun do something and end so; return the lines that are run."""
    ran: list[CommandLine] = []

    def supervise(line: CommandLine, *_: object, **__: object) -> Ending:
        ran.append(line)
        act()
        return ending

    monkeypatch.setattr(launched, "supervise_to_end", supervise)
    return ran


def test_line_is_shown_then_run_and_a_mistake_is_told_by_its_exit_code(
    job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = ends_with(monkeypatch, Ending(2, None, has_told_error=True))
    result = invoke("-n", "2", job)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.split()[-len(ran[0].arguments) :] == list(ran[0].arguments)


def test_signal_is_told_by_the_exit_code(job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_with(monkeypatch, Ending(143, 15))
    assert invoke("-n", "2", job).exit_code == 143


@pytest.mark.parametrize("mpirun_code", [0, 1, 2, 3, 137])
@pytest.mark.parametrize(
    ("status", "exit_code"), [("complete", 0), ("stopped", 0), ("failed", 1), ("running", 1)]
)
def test_exit_code_is_that_of_the_run_and_not_of_any_rank(
    job: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    new_run: Callable[..., RunWriter],
    status: str,
    mpirun_code: int,
    exit_code: int,
) -> None:
    def run() -> None:
        writer = new_run()
        writer.flush()
        killed = (tmp_path / "run.h5").read_bytes()
        writer.close("complete" if status == "running" else status, error="a worker failed")
        if status == "running":
            (tmp_path / "run.h5").write_bytes(killed)

    ends_with(monkeypatch, Ending(mpirun_code, None), run)
    result = invoke("-n", "2", job, "--set", f"run.output={tmp_path / 'run.h5'}")
    assert result.exit_code == exit_code
    assert result.stderr.count("Error: ") == exit_code
    assert result.stderr.count("Error: a worker failed\n") == (status == "failed")
    assert result.stderr.count("the ranks ended before the run did") == (status == "running")


@pytest.mark.parametrize(
    ("mpirun_code", "is_told", "exit_code"),
    [
        (0, False, 1),
        (0, True, 2),  # Open MPI's mpirun is told that no code is an error
        (1, True, 1),
        (2, True, 2),
        (3, True, 1),
    ],
)
def test_a_file_that_was_there_before_says_nothing_of_the_run(
    job: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    new_run: Callable[..., RunWriter],
    mpirun_code: int,
    is_told: bool,
    exit_code: int,
) -> None:
    new_run().close("complete")
    ends_with(monkeypatch, Ending(mpirun_code, None, has_told_error=is_told))
    result = invoke("-n", "2", job, "--set", f"run.output={tmp_path / 'run.h5'}")
    assert result.exit_code == exit_code


@pytest.mark.parametrize(
    "started",
    [
        {"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "0"},
        {"PMI_SIZE": "3", "PMI_RANK": "0"},
        {"SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "0"},
    ],
    ids=["Open MPI", "MPICH", "srun"],
)
def test_launch_under_mpirun_is_refused_and_told_once(
    job: str, monkeypatch: pytest.MonkeyPatch, started: dict[str, str]
) -> None:
    monkeypatch.setattr("hybridmpi.started._SPEAKING_S", 0.0)
    monkeypatch.setattr(launched, "supervise_to_end", pytest.fail)
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    result = invoke("-n", "5", job, "--force")
    assert result.exit_code == 2
    assert "started `hybridmpi launch` 3 times" in result.stderr
    assert f"type `hybridmpi launch -n 5 {job} --force`" in result.stderr
    monkeypatch.setenv(list(started)[1], "1")
    result = invoke("-n", "5", job, "--force")
    assert (result.exit_code, result.output) == (2, "")


@pytest.mark.parametrize(
    "started",
    [
        {"SLURM_JOB_ID": "12", "SLURM_NTASKS": "3", "SLURM_PROCID": "0"},
        {"SLURM_STEP_NUM_TASKS": "1"},
        {"SLURM_STEP_NUM_TASKS": "3", "SLURM_PTY_PORT": "4000"},
    ],
    ids=["batch script", "srun -n 1", "srun -n 3 --pty bash"],
)
def test_launch_in_a_job_of_slurm_is_not_refused(
    job: str, monkeypatch: pytest.MonkeyPatch, started: dict[str, str]
) -> None:
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    assert invoke("-n", "5", job, "--print").exit_code == 0


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
    ends_with(monkeypatch, Ending(7, None))
    result = invoke("-n", "2", "--requeue", job, "--set", "checkpoint.every_s=60")
    assert result.exit_code == 1
    assert "is not begun, not complete: its ranks ended with exit code" in result.stderr


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
