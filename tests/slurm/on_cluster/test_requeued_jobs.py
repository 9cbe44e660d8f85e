"""Jobs of a real Slurm that end before their run does, are started again, and go on."""

from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[3] / "slurm"
GRADIENTS = 500


def options(gradients: int) -> tuple[str, ...]:
    return ("--set", f"run.gradient_limit={gradients}")


def test_job_that_is_sent_usr1_goes_back_and_its_run_goes_on(cluster: Any) -> None:
    job = cluster.ask(
        *("sbatch", "--parsable", "-N2", "-n3", "--ntasks-per-node=2"),
        str(SCRIPTS / "train.sbatch"),
        *("job.toml", *options(GRADIENTS), "--set", "checkpoint.every_s=1000"),
    ).strip()
    cluster.wait(job, JobState="RUNNING")
    cluster.wait_for_gradients(20)
    cluster.ask("scancel", "-s", "USR1", "-b", job)
    cluster.wait(job, JobState="COMPLETED", Restarts="1")
    run = cluster.complete_run(GRADIENTS)
    assert 20 <= run.attributes["resumed_at_version"] < GRADIENTS
    log = cluster.log()
    assert log.count("is stopped, not complete: job") == 1
    assert log.count("srun -n 3") == 2


def test_run_goes_on_after_a_node_was_lost(cluster: Any) -> None:
    job = cluster.submit(*options(GRADIENTS))
    version = cluster.wait_for_checkpoint(beyond=20)
    cluster.ask("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    cluster.wait(job, Restarts="1")
    cluster.run("scontrol", "update", "nodename=n2", "state=resume")  # if it isn't back by itself
    cluster.wait(job, JobState="COMPLETED", Restarts="1")
    run = cluster.complete_run(GRADIENTS)
    assert version <= run.attributes["resumed_at_version"] < GRADIENTS


def test_sweep_makes_a_run_per_seed(cluster: Any) -> None:
    number = cluster.ask(
        *("sbatch", "--parsable", "-N2", "-n3", "--ntasks-per-node=2", "--array=3-4"),
        str(SCRIPTS / "sweep.sbatch"),
        *("job.toml", *options(100)),
    ).strip()
    for seed in (3, 4):
        cluster.wait(f"{number}_{seed}", JobState="COMPLETED")
        assert cluster.complete_run(100, seed).config["run"]["seed"] == seed
