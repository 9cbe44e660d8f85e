"""`hybridmpi compare` over the ranks of mpi4py.futures, and with runs that are ranks themselves."""

from typing import Any

from hybridmpi import read_run

JOB = """
run = { time_limit_s = 1 }
method = { preset = "async" }
data = { dataset = "digits", batch_size = 16 }
evaluation = { every_s = 0.5 }
simulate = { workers = 2, compute_fixed_s = 0.1 }
"""
EXPERIMENT = """
job = "job.toml"
variants.async.method.preset = "async"
variants.sync.method.preset = "sync"
decision.reference = "async"
"""
COMMAND = ("compare", "experiment.toml", "--out", "out")


def prepare(ranks: Any, head: str = "", seeds: int = 2) -> None:
    ranks.job.write_text(JOB)
    (ranks.folder / "experiment.toml").write_text(f"{head}seeds = {seeds}\n{EXPERIMENT}")


def engines_of_complete_runs(ranks: Any) -> list[str]:
    runs = [read_run(path) for path in (ranks.folder / "out" / "runs").glob("*.h5")]
    return [run.attributes["engine"] for run in runs if run.status == "complete"]


def test_ranks_of_mpi4py_futures_share_the_runs(ranks: Any) -> None:
    prepare(ranks)
    ended = ranks.mpirun(3, "-m", "mpi4py.futures", "-m", "hybridmpi", *COMMAND)
    assert ended.exit_code == 0, ended
    assert "4 of 4 runs are there" in ended.stdout
    assert engines_of_complete_runs(ranks) == ["simulate"] * 4


def test_runs_under_mpi_are_made_one_after_the_other(ranks: Any) -> None:
    prepare(ranks, 'engine = "mpi"\nranks = 3\n', seeds=1)
    ended = ranks.without_mpirun("-m", "hybridmpi", *COMMAND)
    assert ended.exit_code == 0, ended
    assert "2 of 2 runs are there" in ended.stdout
    assert engines_of_complete_runs(ranks) == ["mpi"] * 2


def test_runs_made_from_job_files_are_those_of_the_experiment(ranks: Any) -> None:
    prepare(ranks, 'engine = "mpi"\nranks = 3\n', seeds=1)
    written = ranks.without_mpirun("-m", "hybridmpi", *COMMAND, "--write-jobs")
    assert written.exit_code == 0, written
    assert "2 jobs are in out/jobs, of 3 ranks each" in written.stdout
    more = ("--set", "checkpoint.every_s=60")
    launch = ("launch", "-n", "3", "out/jobs/1.toml", *more)
    launched = ranks.without_mpirun("-m", "hybridmpi", *launch)
    assert launched.exit_code == 0, launched
    ended = ranks.without_mpirun("-m", "hybridmpi", *COMMAND, "--dry-run")
    assert "2 runs, 1 of them there already" in ended.stdout
