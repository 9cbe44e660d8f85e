"""Under mpirun: no worker leaves before the last one has done its part."""

import time

from mpi4py import MPI

from hybridmpi.engines.mpi.farewell import Farewell, let_go

LATE_S = 0.5

comm = MPI.COMM_WORLD
last = comm.size - 1
arrived_s = left_s = 0.0
if comm.rank == 0:
    let_go(comm, range(1, comm.size))
else:
    farewell = Farewell(comm)
    time.sleep(LATE_S if comm.rank == last else 0.0)
    arrived_s = time.monotonic()
    farewell.wait()
    left_s = time.monotonic()
arrived, left = comm.gather(arrived_s) or [], comm.gather(left_s) or []
if comm.rank == 0:
    was_alone = max(arrived[1:last]) < arrived[last]  # or this shows nothing
    print("passed" if was_alone and min(left[1:]) >= arrived[last] else (arrived, left))
