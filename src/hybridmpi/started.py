"""What mpirun and srun tell each process that they start: how many there are, and which this is."""

import sys
import time
from collections.abc import Mapping

from hybridmpi.environment import whole_number
from hybridmpi.errors import UserError

# Whatever started this process says here how many it started.
_NUMBERS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
# And here which of them it is; Slurm's, last, is that of the launcher where mpirun started it.
_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
_TERMINAL = "SLURM_PTY_PORT"  # srun --pty: the first task is a terminal, the others have ended
_SPEAKING_S = 2.0  # srun, or mpirun, may end the process that tells the error when another one ends


def num_started(environment: Mapping[str, str]) -> int:
    """Return how many processes were started together with this one, itself included; 0 if none."""
    return max(whole_number(environment, name) or 0 for name in _NUMBERS)


def is_first(environment: Mapping[str, str]) -> bool:
    """Say whether this process is to speak for those that were started with it."""
    numbers = (whole_number(environment, name) for name in _RANKS)
    return next((number for number in numbers if number is not None), 0) == 0


def check_started_once(command: str, instead: str, environment: Mapping[str, str]) -> None:
    """Refuse to do several times at once what is to be done once.

    Args:
        command: What must be started once.
        instead: What to type.
        environment: This process's variables.

    Raises:
        UserError: If mpirun or srun started more than one. One of them tells it; the others end a
            little later, without a word.
    """
    number = num_started(environment)
    if number < 2 or _TERMINAL in environment:
        return
    if not is_first(environment):
        wait_for_the_first()
        sys.exit(2)
    raise UserError(
        f"mpirun or srun started `{command}` {number} times, but it must be started once: {instead}"
    )


def wait_for_the_first() -> None:
    """Give the first process the time to tell what is wrong, before this one ends."""
    time.sleep(_SPEAKING_S)
