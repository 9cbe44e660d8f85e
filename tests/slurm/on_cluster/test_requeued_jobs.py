"""Jobs of a real Slurm that end before their run does, are started again, and go on."""

import sys
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[3] / "slurm"
GRADIENTS = 600
BASE = """
run = { time_limit_s = 1 }
method = { preset = "async" }
data = { dataset = "digits", batch_size = 16 }
model = { name = "models_for_ranks:small" }
evaluation = { every_s = 0.5 }
checkpoint = { every_s = 0.3 }
"""
EXPERIMENT = """
job = "base.toml"
engine = "mpi"
ranks = 3
seeds = 1
decision.reference = "async"
variants.async.method.preset = "async"
variants.sync.method.preset = "sync"
"""


def options(gradients: int) -> tuple[str, ...]:
    return ("--set", f"run.gradient_limit={gradients}")


def test_run_goes_on_after_a_signal_and_after_a_lost_node(cluster: Any) -> None:
    job = cluster.ask(
        *("sbatch", "--parsable", "-N2", "-n3", "--ntasks-per-node=2"),
        *(str(SCRIPTS / "train.sbatch"), "job.toml", *options(GRADIENTS)),
    ).strip()
    cluster.wait_for_checkpoint()
    cluster.ask("scancel", "-s", "USR1", "-b", job)
    cluster.wait(job, Restarts="1", JobState="PENDING")
    assert cluster.log().count("is stopped, not complete: job") == 1
    stopped = cluster.newest_version()

    version = cluster.wait_for_checkpoint(beyond=stopped)
    cluster.ask("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    cluster.wait(job, Restarts="2")
    cluster.run("scontrol", "update", "nodename=n2", "state=resume")  # if it isn't back by itself
    cluster.wait(job, JobState="COMPLETED")
    assert cluster.log().count("srun -n 3") == 3
    run = cluster.complete_run(GRADIENTS)
    assert version <= run.attributes["resumed_at_version"] < GRADIENTS
    cluster.ask(sys.executable, "-m", "hybridmpi", "replay", str(run.path))  # every bit as recorded


def test_job_of_a_sweep_makes_the_run_of_its_seed(cluster: Any) -> None:
    number = cluster.ask(
        *("sbatch", "--parsable", "-N2", "-n3", "--ntasks-per-node=2", "--array=3"),
        str(SCRIPTS / "sweep.sbatch"),
        *("job.toml", *options(100)),
    ).strip()
    cluster.wait(f"{number}_3", JobState="COMPLETED")
    assert cluster.complete_run(100, seed=3).config["run"]["seed"] == 3


def test_runs_of_an_experiment_are_made_by_the_jobs_of_an_array(cluster: Any) -> None:
    (cluster.folder / "base.toml").write_text(BASE)
    (cluster.folder / "experiment.toml").write_text(EXPERIMENT)
    compare = (sys.executable, "-m", "hybridmpi", "compare", "experiment.toml", "--out", "both")
    slurm = (
        sys.executable,
        "-m",
        "hybridmpi",
        "slurm",
        "both/jobs",
        "--nodes",
        "2",
        "--time",
        "10",
    )
    cluster.ask(*compare, "--write-jobs")
    refused = cluster.run(*slurm, "--ranks", "4", "--submit")
    assert "the experiment's runs are of 3 ranks; give --ranks 3" in refused.stderr
    number = cluster.ask(*slurm, "--ranks", "3", "--submit").split()[-1]
    for index in range(2):
        cluster.wait(f"{number}_{index}", JobState="COMPLETED")
    assert "2 of 2 runs are there" in cluster.ask(*compare)
