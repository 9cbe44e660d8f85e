"""Ranks over two nodes of a real Slurm, with the MPI of this environment."""

import sys
from typing import Any

import pytest

from hybridmpi.launcher import Vendor, find_library

TRAIN = (sys.executable, "-m", "mpi4py", "-m", "hybridmpi", "train", "job.toml")
PMI = {Vendor.OPEN_MPI: "pmix", Vendor.MPICH: "pmi2"}


@pytest.mark.parametrize("launcher", ["srun", "mpirun"])
def test_ranks_of_two_nodes_train_together(cluster: Any, launcher: str) -> None:
    job = cluster.submit("--launcher", launcher)
    cluster.wait(job, JobState="COMPLETED")
    run = cluster.complete_run(200)
    assert set(run.gradients.worker) == {1, 2}
    assert f"{launcher} -n 3" in cluster.log()
    assert "rror" not in cluster.log()


def test_ranks_that_do_not_find_each_other_are_told_the_right_line(cluster: Any) -> None:
    vendor = find_library().vendor
    ended = cluster.run("srun", "-N2", "-n2", "--mpi=none", *TRAIN)
    assert ended.returncode == 2, ended
    told = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1, ended
    assert "2 ranks were started, but each is alone in a world of its own" in told[0]
    assert f"`srun --mpi={PMI[vendor]}`" in told[0]
    assert not cluster.run_file().exists()
