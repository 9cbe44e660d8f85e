import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hybridmpi.errors import UserError
from hybridmpi.slurm.script import SIGNAL_S, Request, batch_script, time_limit_s

FOLDER = Path(__file__).parents[2] / "slurm"
HOUR = "1:00:00"


def request(**changes: Any) -> Request:
    return Request(**({"nodes": 2, "ranks": 26, "time": HOUR} | changes))


def directives(script: str) -> list[str]:
    """Return the options of sbatch, which must come before the first command."""
    head = script.partition("\nexec ")[0]
    assert head.count("#SBATCH") == script.count("#SBATCH")
    return [line.removeprefix("#SBATCH --") for line in head.splitlines() if "#SBATCH" in line]


def command(script: str) -> list[str]:
    return shlex.split(script.splitlines()[-1])


def run_script(script: str, folder: Path, *arguments: str) -> list[str]:
    """Run a script whose program is printf, and return what that was given."""
    (folder / "script").write_text(script)
    done = subprocess.run(
        ["bash", "script", *arguments],
        cwd=folder,
        env={"SLURM_NTASKS": "26", "SLURM_ARRAY_TASK_ID": "7", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    return done.stdout.decode().split("\0")[:-1]


def test_job_asks_for_nodes_a_signal_and_to_be_requeued() -> None:
    assert directives(batch_script(request(), name="my job")) == [
        "job-name='my job'",
        *("nodes=2", "ntasks=26", "ntasks-per-node=13", f"time={HOUR}"),
        *(f"signal=B:USR1@{SIGNAL_S}", "requeue", "open-mode=append", "output=%x-%j.log"),
    ]


def test_ranks_are_spread_evenly_which_slurm_does_by_itself_with_overcommit() -> None:
    assert "ntasks-per-node=14" in directives(batch_script(request(ranks=27)))
    overcommitted = directives(batch_script(request(options=("overcommit",))))
    assert not [option for option in overcommitted if option.startswith("ntasks-per-node")]


def test_command_starts_the_run_or_goes_on_with_it() -> None:
    script = batch_script(
        request(), program=["/a b/python", "-m", "hybridmpi"], train_args=["job.toml", "--set", "x"]
    )
    assert command(script) == [
        *("exec", "/a b/python", "-m", "hybridmpi", "launch", "-n", "$SLURM_NTASKS"),
        *("--srun", "--requeue", "job.toml", "--set", "x"),
    ]


def test_mpirun_takes_the_place_of_srun() -> None:
    assert "--srun" not in command(batch_script(request(), launcher="mpirun"))


def test_nothing_in_an_argument_is_read_by_the_shell(tmp_path: Path) -> None:
    given = ["a 'b'.toml", "--set", "model.name=$(touch hurt)`touch hurt`;touch hurt\nnow"]
    script = batch_script(request(), program=["printf", "%s\\0"], train_args=given)
    said = run_script(script, tmp_path)
    assert said == ["launch", "-n", "26", "--srun", "--requeue", *given]
    assert [path.name for path in tmp_path.iterdir()] == ["script"]


def test_sweep_is_an_array_with_a_log_each() -> None:
    script = batch_script(request(array="0-9%4"), train_args=["job.toml"])
    assert {"array=0-9%4", "output=%x-%A_%a.log"} <= set(directives(script))


@pytest.mark.parametrize("is_given", [True, False])
@pytest.mark.parametrize(
    ("job", "run"),
    [
        ("my job.toml", ["my job.toml", "--set", "a=$b", "--set", "run.seed=7"]),
        ("my jobs", ["my jobs/7.toml", "--set", "a=$b"]),
    ],
)
def test_sweep_makes_the_run_of_its_seed_or_of_its_job(
    tmp_path: Path, job: str, run: list[str], is_given: bool
) -> None:
    (tmp_path / "my jobs").mkdir()
    arguments = [job, "--set", "a=$b"]
    script = batch_script(
        request(array="0-9"),
        program=["printf", "%s\\0"],
        train_args=arguments if is_given else None,
    )
    assert run_script(script, tmp_path, *([] if is_given else arguments)) == [
        *("launch", "-n", "26", "--srun", "--requeue"),
        *run,
    ]


def test_further_options_come_last_so_that_they_count() -> None:
    options = ("partition=gpu", "exclusive", "comment=a b")
    assert directives(batch_script(request(options=options)))[-3:] == [
        *("partition=gpu", "exclusive", "comment='a b'"),
    ]


@pytest.mark.parametrize(("name", "array"), [("train", None), ("sweep", "0-9")])
def test_scripts_of_the_project_are_made_by_the_command(name: str, array: str | None) -> None:
    # hybridmpi slurm --nodes 2 --ranks 26 --time 1:00:00 > slurm/train.sbatch
    # hybridmpi slurm --nodes 2 --ranks 26 --time 1:00:00 --array 0-9 > slurm/sweep.sbatch
    assert (FOLDER / f"{name}.sbatch").read_text() == batch_script(request(array=array))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("30:15", 1815),
        ("1:00:00", 3600),
        ("2-12", 216_000),
        ("1-0:30", 88_200),
        ("1-01:00:05", 90_005),
    ],
)
def test_time_limits_are_read_as_slurm_reads_them(text: str, seconds: int) -> None:
    assert time_limit_s(text) == seconds


@pytest.mark.parametrize("text", ["", "1h", "1:2:3:4", "1-2:3:4:5", "-5", "1-", "60.5", "²", "1 "])
def test_other_time_limits_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="HOURS:MINUTES:SECONDS"):
        time_limit_s(text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ranks": 1, "nodes": 1}, "ranks is 1, but must be at least 2"),
        ({"nodes": 0}, "between 1 and the number of ranks"),
        ({"nodes": 27}, r"nodes is 27, but must be between 1 and the number of ranks \(26\)"),
        ({"time": "1:00"}, "'1:00' is 60 s, but must be at least 300 s"),
        ({"array": "ten"}, "array is 'ten'"),
        ({"array": "0-9%0"}, "0-99%4 runs four at a time"),
        ({"options": ("--partition=gpu",)}, "without dashes"),
        ({"options": ("comment=a\n#SBATCH --x",)}, "must be an option of sbatch"),
        ({"options": ("time=5",)}, "time cannot be given here; give --time"),
    ],
)
def test_what_slurm_could_not_do_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        request(**changes)
