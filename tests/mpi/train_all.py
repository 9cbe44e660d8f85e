"""Trains the jobs of jobs.json one after the other, on all ranks of one world."""

import json
import sys
import time
from pathlib import Path

from mpi4py import MPI

from hybridmpi.config.load import parse_job
from hybridmpi.engines.mpi.train import train

jobs = json.loads(Path("jobs.json").read_text())
seconds = {}
for name, tree in jobs.items():
    began_s = time.perf_counter()
    train(parse_job(tree, name), Path(f"{name}.h5"))
    seconds[name] = time.perf_counter() - began_s

modules = MPI.COMM_WORLD.gather(list(sys.modules))
if MPI.COMM_WORLD.rank == 0:
    said = {"seconds": seconds, "modules": modules}
    Path("said.json").write_text(json.dumps(said))
