import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from hybridmpi.checkpoints.behind import WriterBehind
from hybridmpi.checkpoints.file import (
    State,
    as_damage,
    checkpoints_in,
    folder_of,
    named,
    newest,
    read_state,
    run_file_of,
    write_state,
)
from hybridmpi.checkpoints.keeper import Keeper
from hybridmpi.errors import RunFailed, UserError

FACTS = {"engine": "mpi", "times": [0.1, float("inf")], "computing": {"3": 7}}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = named(tmp_path / "run.h5.checkpoints", 12)
    tensors = {"parameters": torch.arange(5.0), "steps": torch.tensor(3, dtype=torch.int64)}
    write_state(path, State(tensors, FACTS))
    return path


def test_what_is_written_is_read(checkpoint: Path) -> None:
    tensors, facts = read_state(checkpoint)
    assert facts == FACTS
    assert {name: held.tolist() for name, held in tensors.items()} == {
        "parameters": [0, 1, 2, 3, 4],
        "steps": 3,
    }
    assert tensors["steps"].dtype == torch.int64
    assert [path.name for path in checkpoint.parent.iterdir()] == ["000000012.safetensors"]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read(checkpoint: Path, data: st.DataObject) -> None:
    whole = checkpoint.read_bytes()
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            place = data.draw(st.integers(0, len(damaged) - 1))
            damaged[place] = data.draw(st.integers(0, 255))
    path = checkpoint.with_name("damaged.safetensors")
    path.write_bytes(damaged)
    try:
        read_state(path)
    except UserError as error:
        assert str(path) in str(error)  # noqa: PT017 - most, but not all damage is seen


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    with pytest.raises(UserError, match=r"other\.safetensors' cannot be read"):
        read_state(path)
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(UserError, match="is no checkpoint of hybridmpi"):
        read_state(path)
    save_file({}, path, metadata={"hybridmpi": '{"format": 99}'})
    with pytest.raises(UserError, match="another format"):
        read_state(path)
    for metadata in ("[" * 10_000, "nothing", "7"):
        save_file({}, path, metadata={"hybridmpi": metadata})
        with pytest.raises(UserError):
            read_state(path)
    path.write_bytes(pickle.dumps({"executes": print}))
    with pytest.raises(UserError, match="cannot be read"):
        read_state(path)


def test_what_a_checkpoint_lacks_is_called_damage() -> None:
    with pytest.raises(UserError, match="damaged, or of another job"), as_damage():
        State({}, {}).facts["core"]


def test_a_run_file_and_its_checkpoints_find_each_other(tmp_path: Path) -> None:
    run_file = tmp_path / "runs" / "hybrid.seed3.h5"
    assert run_file_of(named(folder_of(run_file), 7)) == run_file
    with pytest.raises(UserError, match="beside its run file"):
        run_file_of(tmp_path / "moved.safetensors")


def test_the_newest_stay(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run.h5")
    folder.mkdir()
    with pytest.raises(UserError, match="no checkpoint"):
        newest(folder)
    keeper = Keeper(tmp_path / "run.h5", every_s=None, every_steps=1, keep=2)
    for version in (5, 100, 20_000_000_000):
        keeper.write(version, State({}, {}))
    assert checkpoints_in(folder) == [named(folder, 100), named(folder, 20_000_000_000)]
    assert newest(folder) == named(folder, 20_000_000_000)
    assert newest(named(folder, 5)) == named(folder, 5)
    keeper.clear(beyond=100)
    assert checkpoints_in(folder) == [named(folder, 100)]
    keeper.clear()
    assert checkpoints_in(folder) == []


def test_nothing_is_written_for_a_run_that_another_process_goes_on_with(tmp_path: Path) -> None:
    run_file = tmp_path / "run.h5"
    run_file.write_text("ours")
    with run_file.open():  # as the run that writes it
        keeper = Keeper(run_file, every_s=None, every_steps=1, keep=2)
        keeper.write(1, State({}, {}))
        theirs = tmp_path / "theirs"
        theirs.write_text("theirs")
        theirs.replace(run_file)
        with pytest.raises(RunFailed, match="another process"):
            keeper.write(2, State({}, {}))
    assert checkpoints_in(folder_of(run_file)) == [named(folder_of(run_file), 1)]


def test_checkpoints_are_due_by_steps_and_by_time(tmp_path: Path) -> None:
    run_file, now_s = tmp_path / "run.h5", 10.0
    keeper = Keeper(run_file, every_s=5, every_steps=40, keep=1, version=3, clock=lambda: now_s)
    assert not keeper.is_due(42)
    assert keeper.is_due(43)
    keeper.write(43, State({}, {}))
    assert not keeper.is_due(82)
    now_s = 15.0
    assert keeper.is_due(44)
    never = Keeper(run_file, every_s=None, every_steps=None, keep=1)
    assert not never.is_wanted
    assert not never.is_due(10**9)


def test_a_checkpoint_that_cannot_be_written_fails_the_run_and_those_before_stay(
    tmp_path: Path,
) -> None:
    folder = folder_of(tmp_path / "run.h5")
    behind = WriterBehind(Keeper(tmp_path / "run.h5", every_s=None, every_steps=10, keep=2))
    behind.write(10, State({"parameters": torch.ones(3)}, FACTS))
    behind.finish()
    named(folder, 20).mkdir()  # where the next one belongs
    behind.write(20, State({}, FACTS))
    with pytest.raises(RunFailed, match="version 20 could not be written"):
        behind.finish()
    assert read_state(named(folder, 10)).tensors["parameters"].tolist() == [1, 1, 1]
    assert not list(folder.glob(".*"))
