"""Slurm's queue: a job is put into it, and back into it, and knows what it was given."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hybridmpi.environment import whole_number
from hybridmpi.errors import UserError

_ANSWER_LIMIT_S = 60.0


@dataclass(frozen=True)
class Allocation:
    """What Slurm has given to the job that this process is part of.

    Attributes:
        job_id: The job's number; a job of an array has one of its own.
        nodes: Number of nodes.
        restarts: How often the job has been started again.
    """

    job_id: str
    nodes: int
    restarts: int


def own_allocation(environment: Mapping[str, str]) -> Allocation | None:
    """Return what the variables say of the job that this process is part of, if it is of one."""
    job_id = environment.get("SLURM_JOB_ID")
    if not job_id:
        return None
    return Allocation(
        job_id,
        whole_number(environment, "SLURM_JOB_NUM_NODES") or 1,
        whole_number(environment, "SLURM_RESTART_COUNT") or 0,
    )


def submit(script: str) -> str:
    """Put a job into the queue; return its number.

    Raises:
        UserError: If Slurm does not take it.
    """
    return _answer(["sbatch", "--parsable"], script).strip().partition(";")[0]


def requeue(allocation: Allocation) -> None:
    """Put the job that runs here back into the queue: Slurm ends what is left of it.

    Raises:
        UserError: If Slurm does not do so; or if it has started the job again already, elsewhere,
            because it believes this node lost.
    """
    said = _answer(["scontrol", "show", "job", "--oneliner", allocation.job_id]).split()
    if f"Restarts={allocation.restarts}" not in said:
        raise UserError(
            f"Slurm has started job {allocation.job_id} again already, or is about to; nothing is "
            "left to be done here"
        )
    _answer(["scontrol", "requeue", allocation.job_id])


def _answer(question: Sequence[str], text: str = "") -> str:
    try:
        return subprocess.run(
            question,
            input=text,
            capture_output=True,
            text=True,
            timeout=_ANSWER_LIMIT_S,
            check=True,
        ).stdout
    except FileNotFoundError:
        reason = "it is not there; is this a machine from which jobs are submitted?"
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or error.stdout or f"exit code {error.returncode}").strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    raise UserError(f"`{' '.join(question)}` did not work: {reason}")
