import pytest

from hybridmpi.errors import UserError
from hybridmpi.launcher import CommandLine, Mpi, Vendor
from hybridmpi.slurm.srun import check_pairing, srun_line
from hybridmpi.started import is_first

OPEN_MPI = Mpi(Vendor.OPEN_MPI, "5.0.11")
MPICH = Mpi(Vendor.MPICH, "5.0.2")


def test_open_mpi_finds_its_ranks_by_pmix() -> None:
    assert srun_line(OPEN_MPI, 26, ["work"], cores=52, environment={}) == CommandLine(
        {"OMP_NUM_THREADS": "2", "HYBRIDMPI_SHARED_THREADS": "1", "OMPI_MCA_osc": "^ucx"},
        (
            *("srun", "-n", "26", "--mpi=pmix", "--kill-on-bad-exit=1", "--cpu-bind=none"),
            "work",
        ),
    )


def test_mpich_finds_its_ranks_by_pmi2() -> None:
    line = srun_line(MPICH, 26, ["work"], cores=4, environment={})
    assert line.arguments[3] == "--mpi=pmi2"
    assert line.environment == {"OMP_NUM_THREADS": "1", "HYBRIDMPI_SHARED_THREADS": "1"}


def test_open_mpi_yields_where_ranks_outnumber_cores() -> None:
    line = srun_line(OPEN_MPI, 26, ["work"], cores=25, environment={"OMP_NUM_THREADS": "1"})
    assert line.environment == {"OMPI_MCA_osc": "^ucx", "OMPI_MCA_mpi_yield_when_idle": "1"}


def test_one_rank_is_refused() -> None:
    with pytest.raises(UserError, match="ranks is 1"):
        srun_line(MPICH, 1, ["work"], cores=4, environment={})


@pytest.mark.parametrize(
    "started_by",
    [
        {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"},
        {"PMI_SIZE": "4", "SLURM_STEP_NUM_TASKS": "4"},
        {"OMPI_COMM_WORLD_SIZE": "4", "SLURM_STEP_NUM_TASKS": "1"},
    ],
    ids=["srun without PMI", "PMI2", "mpirun of Open MPI"],
)
@pytest.mark.parametrize(("library", "right"), [(OPEN_MPI, "pmix"), (MPICH, "pmi2")])
def test_ranks_that_are_alone_are_told_what_is_right(
    started_by: dict[str, str], library: Mpi, right: str
) -> None:
    with pytest.raises(UserError) as caught:
        check_pairing(library, started_by)
    assert "4 ranks were started, but each is alone" in str(caught.value)
    assert f"`srun --mpi={right}`" in str(caught.value)
    assert f"the mpirun of {library.vendor}" in str(caught.value)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SLURM_STEP_NUM_TASKS": "1"},
        {"SLURM_NTASKS": "26", "SLURM_PROCID": "0"},
        {"PMI_SIZE": "", "SLURM_STEP_NUM_TASKS": "2(x3)"},
    ],
    ids=["no Slurm", "one task", "in the script itself", "nothing to go by"],
)
def test_one_rank_that_was_started_alone_is_no_wrong_pairing(environment: dict[str, str]) -> None:
    check_pairing(OPEN_MPI, environment)


def test_one_of_the_lone_ranks_speaks() -> None:
    assert is_first({})
    assert is_first({"OMPI_COMM_WORLD_RANK": "", "PMI_RANK": "none"})
    assert [is_first({"SLURM_PROCID": str(rank)}) for rank in range(3)] == [True, False, False]
    by_mpirun = {"SLURM_PROCID": "0", "OMPI_COMM_WORLD_RANK": "1"}
    assert not is_first(by_mpirun)
