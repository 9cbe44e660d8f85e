import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hybridmpi.cli import main
from hybridmpi.slurm import queue
from hybridmpi.slurm.script import Request, batch_script

JOB = """
run = { time_limit_s = 1 }
method = { preset = "sync" }
checkpoint = { every_s = 60 }
"""
ASKED = ("--nodes", "2", "--ranks", "26", "--time", "1:00:00")


@pytest.fixture
def job(tmp_path: Path) -> str:
    path = tmp_path / "my job.toml"
    path.write_text(JOB)
    return str(path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["slurm", *arguments, *ASKED])


def test_script_of_a_job_is_printed(job: str) -> None:
    result = invoke(job, "--set", "run.seed=3", "--launcher", "mpirun", "--sbatch", "exclusive")
    assert result.exit_code == 0, result.output
    assert result.stdout == batch_script(
        Request(2, 26, "1:00:00", options=("exclusive",)),
        name="my job",
        program=[sys.executable, "-P", "-m", "hybridmpi"],
        launcher="mpirun",
        train_args=[job, "--set", "run.seed=3"],
    )


def test_script_without_a_job_takes_it_as_an_argument() -> None:
    result = invoke("--array", "0-4")
    assert result.stdout == batch_script(Request(2, 26, "1:00:00", "0-4"))


def test_submitted_script_is_the_printed_one(job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[str] = []

    def submit(script: str) -> str:
        submitted.append(script)
        return "12"

    monkeypatch.setattr(queue, "submit", submit)
    assert invoke(job, "--submit").stdout == "Submitted batch job 12\n"
    assert submitted == [invoke(job).stdout]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set", "checkpoint.every_s="), "asks for no checkpoints"),
        (("--set", "run.sed=3"), "did you mean 'seed'?"),
        (("--array", "0-9", "--set", "run.output=run.h5"), "put {seed} into it"),
        (("--sbatch", "-p gpu"), "without dashes"),
    ],
)
def test_mistake_is_told_before_the_job_is_submitted(
    job: str, options: tuple[str, ...], words: str
) -> None:
    result = invoke(job, *options, "--submit")
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("Error") == 1


def test_submission_needs_a_job() -> None:
    result = invoke("--submit")
    assert result.exit_code == 2
    assert "need a JOB.toml" in result.stderr


def test_job_is_found_from_the_folder_in_which_it_is_submitted(job: str) -> None:
    assert shlex.split(invoke(job).stdout.splitlines()[-1])[-1] == job


def fill(folder: Path, *numbers: str, job: str = JOB) -> str:
    folder.mkdir()
    for number in numbers:
        (folder / f"{number}.toml").write_text(job)
    return str(folder)


def test_folder_of_jobs_is_an_array_of_all_of_them(tmp_path: Path) -> None:
    jobs = fill(tmp_path / "jobs", "0", "1", "2")
    assert "#SBATCH --array=0-2\n" in invoke(jobs).stdout
    assert "#SBATCH --array=1%2\n" in invoke(jobs, "--array", "1%2").stdout


@pytest.mark.parametrize("numbers", [(), ("1", "2"), ("0", "2"), ("job",)])
def test_folder_without_numbered_jobs_is_refused(tmp_path: Path, numbers: tuple[str, ...]) -> None:
    result = invoke(fill(tmp_path / "jobs", *numbers), "--submit")
    assert result.exit_code == 2
    assert "does not hold the jobs 0.toml, 1.toml, ...; name a job file" in result.stderr


def test_mistake_in_one_job_of_a_folder_is_told(tmp_path: Path) -> None:
    jobs = fill(tmp_path / "jobs", "0", "1")
    (tmp_path / "jobs" / "1.toml").write_text("run = { seed = 'x' }\n")
    result = invoke(jobs, "--submit")
    assert result.exit_code == 2
    assert "1.toml" in result.stderr
