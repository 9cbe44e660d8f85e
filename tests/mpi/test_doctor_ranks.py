import pytest

from hybridmpi.doctor import mpi
from hybridmpi.doctor.check import State
from hybridmpi.errors import UserError
from hybridmpi.launcher import find_mpirun


@pytest.fixture(autouse=True)
def _needs_mpirun() -> None:
    try:
        find_mpirun()
    except UserError as error:
        pytest.skip(f"no MPI: {error}")


def test_library_and_mpirun_belong_together() -> None:
    assert mpi.library().state is State.OK
    assert mpi.mpirun().state is State.OK, mpi.mpirun()


def test_two_ranks_exchange_messages() -> None:
    check = mpi.ranks()
    assert check.state is State.OK, check
    assert "2 ranks talk" in check.found
