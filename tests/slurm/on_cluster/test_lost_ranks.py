"""A rank on another node that is killed: the run goes on without it, where MPI survives losses."""

from typing import Any

import psutil
import pytest

from hybridmpi import read_run
from hybridmpi.launcher import matching_mpirun


def test_run_goes_on_without_a_worker_of_another_node(cluster: Any) -> None:
    if not matching_mpirun().survives_losses:
        pytest.skip("this MPI does not survive the loss of a rank")
    job = cluster.submit("--launcher", "mpirun", "--set", "run.gradient_limit=600")
    cluster.wait_for_checkpoint()
    rank(cluster, 2).kill()
    cluster.wait(job, JobState="COMPLETED")
    run = read_run(cluster.run_file())
    assert (run.status, len(run.gradients)) == ("complete", 600)
    assert run.workers.host.tolist() == ["n1", "n2"]
    lost = run.events[run.events.kind == "lost"]
    assert lost.worker.tolist() == [2]
    assert set(run.gradients.worker[run.gradients.time_s > lost.time_s.iloc[0]]) == {1}


def rank(cluster: Any, number: int) -> psutil.Process:
    """Return a rank's process."""
    (found,) = [
        process
        for process in psutil.process_iter(["cwd", "environ"])
        if process.info["cwd"] == str(cluster.folder)
        and (process.info["environ"] or {}).get("OMPI_COMM_WORLD_RANK") == str(number)
    ]
    return found
