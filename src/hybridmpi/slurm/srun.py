"""The srun line that starts the ranks, and ranks that don't find each other."""

from collections.abc import Mapping, Sequence

from hybridmpi.errors import UserError
from hybridmpi.launcher import (
    CommandLine,
    Mpi,
    Vendor,
    check_ranks,
    environment_of_ranks,
    is_crowded,
)
from hybridmpi.started import num_started

# How the ranks of each MPI find each other under srun. With the wrong one each is alone.
_PMI = {Vendor.OPEN_MPI: "pmix", Vendor.MPICH: "pmi2"}


def srun_line(
    library: Mpi,
    ranks: int,
    command: Sequence[str],
    *,
    cores: int,
    environment: Mapping[str, str],
) -> CommandLine:
    """Build the line that starts `command` on every rank, over all nodes of an allocation.

    When a rank is killed, the others are ended, too: MPICH's would wait for it for ever.

    Args:
        library: The MPI that mpi4py uses.
        ranks: The server and the workers, at least 2.
        command: What each rank runs.
        cores: Usable cores of all nodes together.
        environment: The user's variables: what is set there stays.

    Raises:
        UserError: If there are fewer than 2 ranks.
    """
    check_ranks(ranks)
    added = environment_of_ranks(library.vendor, ranks, cores=cores, environment=environment)
    if library.vendor is Vendor.OPEN_MPI and is_crowded(ranks, cores, environment):
        added["OMPI_MCA_mpi_yield_when_idle"] = "1"
    flags = (f"--mpi={_PMI[library.vendor]}", "--kill-on-bad-exit=1", "--cpu-bind=none")
    return CommandLine(added, ("srun", "-n", str(ranks), *flags, *command))


def check_pairing(library: Mpi, environment: Mapping[str, str]) -> None:
    """Refuse a rank that is alone in its world though others were started with it.

    Args:
        library: The MPI that mpi4py uses.
        environment: This rank's variables.

    Raises:
        UserError: If so.
    """
    number = num_started(environment)
    if number > 1:
        raise UserError(
            f"{number} ranks were started, but each is alone in a world of its own: mpi4py uses "
            f"{library}, whose ranks find each other under `srun --mpi={_PMI[library.vendor]}`, or "
            f"under the mpirun of {library.vendor}; `hybridmpi launch`, with --srun or without, "
            "starts them so"
        )
