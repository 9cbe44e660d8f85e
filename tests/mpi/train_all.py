"""Trains the jobs of jobs.json one after the other, on all ranks of one world."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpi4py import MPI

from hybridmpi.engines.mpi.train import train

if TYPE_CHECKING:
    from hybridmpi.config import Job


def job(tree: dict[str, Any]) -> "Job | None":
    """Return the job on rank 0, whose job it is, as `hybridmpi train` does."""
    if MPI.COMM_WORLD.rank:
        return None
    from hybridmpi.config.load import parse_job

    return parse_job(tree, "test")


jobs = json.loads(Path("jobs.json").read_text())
seconds = {}
for name, tree in jobs.items():
    began_s = time.perf_counter()
    train(job(tree), Path(f"{name}.h5"))
    seconds[name] = time.perf_counter() - began_s

modules = MPI.COMM_WORLD.gather(list(sys.modules))
if MPI.COMM_WORLD.rank == 0:
    said = {"seconds": seconds, "modules": modules}
    Path("said.json").write_text(json.dumps(said))
