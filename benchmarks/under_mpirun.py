"""Runs a benchmark's script again under mpirun, on all ranks."""

import os
import subprocess
import sys
from dataclasses import replace

LIMIT_S = 1800


def run_again(ranks: int, *options: str, limit_s: float = LIMIT_S) -> list[str]:
    """Run the calling script with these options on `ranks` ranks; return rank 0's JSON lines."""
    return run(ranks, "-m", "mpi4py", sys.argv[0], *options, limit_s=limit_s)


def run(
    ranks: int, *arguments: str, limit_s: float = LIMIT_S, survives_losses: bool = True
) -> list[str]:
    """Run Python with these arguments on `ranks` ranks; return all ranks' JSON lines.

    Where Open MPI has ULFM it is on, as under `hybridmpi launch`, if `survives_losses` is true.
    """
    from hybridmpi.launcher import command_line, matching_mpirun
    from hybridmpi.resources import usable_cores

    mpirun = matching_mpirun()
    line = command_line(
        replace(mpirun, survives_losses=mpirun.survives_losses and survives_losses),
        ranks,
        [sys.executable, *arguments],
        cores=usable_cores(),
        is_root=os.geteuid() == 0,
        environment=os.environ,
    )
    done = subprocess.run(
        line.arguments,
        env=os.environ | dict(line.environment),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=limit_s,
    )
    return [text for text in done.stdout.splitlines() if text.startswith("{")]
