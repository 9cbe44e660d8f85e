import sys
from pathlib import Path
from types import ModuleType

import pytest

from hybridmpi.doctor import files, learning, machine, mpi
from hybridmpi.doctor.check import Check, State
from hybridmpi.errors import UserError

GIB = 2**30
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_old_python_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    assert learning.python().state is State.OK
    monkeypatch.setattr(sys, "version_info", (3, 10, 9))
    assert learning.python().state is State.PROBLEM


def test_torch_that_does_not_load_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert learning.torch().state is State.PROBLEM


def test_torchvision_of_another_build_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mismatched(ModuleType):
        @property
        def ops(self) -> object:
            raise RuntimeError("operator torchvision::nms does not exist\nmore")

    monkeypatch.setitem(sys.modules, "torchvision", Mismatched("torchvision"))
    check = learning.torchvision()
    assert check.state is State.PROBLEM
    assert check.found == "does not load: operator torchvision::nms does not exist"
    assert "reinstall both" in check.mend


def test_torch_and_torchvision_of_this_environment_load() -> None:
    pytest.importorskip("torchvision")
    assert learning.torch().state is State.OK
    assert "cpu" in learning.torch().found
    assert learning.torchvision().state is State.OK


def test_machine_is_described() -> None:
    assert machine.cores().state is State.OK
    assert "usable" in machine.cores().found
    assert "GiB of it free" in machine.memory().found


def test_little_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_limit_bytes", lambda: GIB)
    check = machine.memory()
    assert check.state is State.WARNING
    assert check.found.startswith("1.0 GiB")


@pytest.mark.parametrize(
    ("free_bytes", "state"),
    [(GIB, State.OK), (64 * 2**20, State.WARNING), (0, State.PROBLEM)],
)
def test_shared_memory_is_judged_by_what_is_free(free_bytes: int, state: State) -> None:
    assert machine.judge_shared_memory("/dev/shm", GIB, free_bytes).state is state


def test_missing_shared_memory_is_fine_elsewhere(tmp_path: Path) -> None:
    assert machine.shared_memory(tmp_path / "shm").state is State.OK
    assert machine.shared_memory(tmp_path).found.startswith(str(tmp_path))


def test_data_sets_are_found_packed_or_not(tmp_path: Path) -> None:
    touch(*(tmp_path / "MNIST" / "raw" / f"{name}.gz" for name in IDX_FILES))
    touch(*(tmp_path / "FashionMNIST" / "raw" / name for name in IDX_FILES[:3]))
    assert files.data(tmp_path).found == f"{tmp_path}: mnist"
    touch(tmp_path / "FashionMNIST" / "raw" / IDX_FILES[3])
    touch(tmp_path / "cifar-10-python.tar.xz")
    assert files.data(tmp_path).found == f"{tmp_path}: mnist, fashion-mnist, cifar10"


def test_cifar10_needs_all_its_batches(tmp_path: Path) -> None:
    batches = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    folder = tmp_path / "cifar-10-batches-py"
    touch(*(folder / batch for batch in batches[:-1]))
    assert files.data(tmp_path).state is State.WARNING
    touch(folder / batches[-1])
    assert files.data(tmp_path).found == f"{tmp_path}: cifar10"


def test_missing_data_root_is_a_warning_that_names_the_option(tmp_path: Path) -> None:
    check = files.data(tmp_path / "none")
    assert check.state is State.WARNING
    assert "--data" in check.mend


def test_output_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    check = files.output(tmp_path / "runs" / "today")
    assert check.state is State.OK, check
    assert check.found.startswith(f"{tmp_path}: writable")
    assert list(tmp_path.iterdir()) == []


def test_output_folder_without_permission_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    assert files.output(tmp_path).state is State.PROBLEM


def test_output_folder_without_concurrent_reading_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_READ", "raise OSError('unable to lock file')")
    check = files.output(tmp_path)
    assert check.state is State.PROBLEM
    assert "unable to lock file" in check.found
    assert "HDF5_USE_FILE_LOCKING" in check.mend


def test_error_of_the_launcher_is_split_into_found_and_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise UserError("there is no mpirun; install one: pip")

    monkeypatch.setattr(mpi, "find_mpirun", missing)
    assert mpi.mpirun() == Check("mpirun", State.PROBLEM, "there is no mpirun", "install one: pip")


@pytest.mark.parametrize(
    ("output", "returncode", "state", "found"),
    [
        (
            "time for 500 loops = 0.005 seconds (2 processes, 64 bytes)\n",
            0,
            State.OK,
            "2 ranks talk: 100,000 round trips per second",
        ),
        (
            "time for 500 loops = 0.005 seconds (1 processes, 64 bytes)\n" * 2,
            0,
            State.PROBLEM,
            "each rank is alone in a world of its own",
        ),
        ("no network\n", 1, State.PROBLEM, "mpirun ended with exit code 1: no network"),
    ],
)
def test_ring_of_two_ranks_is_judged(
    output: str, returncode: int, state: State, found: str
) -> None:
    check = mpi.judge_ring(output, returncode, "mpirun -n 2 ring")
    assert (check.state, check.found) == (state, found)
