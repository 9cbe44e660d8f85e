"""Under mpirun: no worker leaves before the last one has done its part."""

import time

from mpi4py import MPI

from hybridmpi.engines.mpi.farewell import Farewell, let_go

LATE_S = 0.2

comm = MPI.COMM_WORLD
last = comm.size - 1
arrived_s = left_s = 0.0
if comm.rank == 0:
    let_go(comm, range(1, comm.size))
else:
    farewell = Farewell(comm)
    if comm.rank == last:  # arrives when the others wait already
        for other in range(1, last):
            comm.recv(source=other)
        time.sleep(LATE_S)
    arrived_s = time.monotonic()
    if comm.rank != last:
        comm.send(None, last)
    farewell.wait()
    left_s = time.monotonic()
arrived, left = comm.gather(arrived_s) or [], comm.gather(left_s) or []
if comm.rank == 0:
    was_alone = max(arrived[1:last]) < arrived[last]  # or this shows nothing
    print("passed" if was_alone and min(left[1:]) >= arrived[last] else (arrived, left))
