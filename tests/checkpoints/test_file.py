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

SNAPSHOTS = {version: torch.full((3,), float(version)) for version in (0, 2, 4)}
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
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert damaged == whole  # no damage goes unseen


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    with pytest.raises(UserError, match=r"other\.safetensors' cannot be read"):
        read_state(path)
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(UserError, match="is no checkpoint of hybridmpi"):
        read_state(path)
    for metadata in ({"hybridmpi": '{"format": 2}'}, {"hybridmpi": '{"format": 2}', "sha256": ""}):
        save_file({}, path, metadata=metadata)
        with pytest.raises(UserError, match="its content is not what was written"):
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


def snapshot_files(folder: Path) -> list[str]:
    return sorted(path.name[:18] for path in folder.glob("snapshot-*"))


def state_of(*versions: int) -> State:
    tensors = {f"snapshot.{version}": SNAPSHOTS[version] for version in versions}
    return State({"parameters": torch.ones(3), **tensors}, {"version": versions[-1]})


def test_a_snapshot_is_written_once_and_goes_with_the_last_checkpoint_that_needs_it(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run.h5.checkpoints"
    keeper = Keeper(tmp_path / "run.h5", every_s=None, every_steps=1, keep=2)
    keeper.write(3, state_of(0, 2))
    times = {path: path.stat().st_mtime_ns for path in folder.glob("snapshot-*")}
    keeper.write(5, state_of(0, 2, 4))
    assert snapshot_files(folder) == [f"snapshot-{version:09}" for version in (0, 2, 4)]
    assert times.items() <= {p: p.stat().st_mtime_ns for p in folder.glob("snapshot-*")}.items()
    state = read_state(newest(folder))
    assert state.tensors["snapshot.4"].tolist() == [4, 4, 4]
    assert state.facts == {"version": 4}
    # Of a run that has gone on:
    again = Keeper(tmp_path / "run.h5", every_s=None, every_steps=1, keep=2)
    again.write(7, state_of(4))
    again.write(9, state_of(4))
    assert snapshot_files(folder) == ["snapshot-000000004"]
    again.clear()
    assert not list(folder.iterdir())


def test_a_run_that_goes_on_otherwise_has_snapshots_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "run.h5.checkpoints"
    keeper = Keeper(tmp_path / "run.h5", every_s=None, every_steps=1, keep=2)
    keeper.write(3, state_of(2))
    keeper.write(5, state_of(2, 4))
    other = Keeper(tmp_path / "run.h5", every_s=None, every_steps=1, keep=2)
    state = state_of(2, 4)
    state.tensors["snapshot.4"] = torch.zeros(3)
    other.write(4, state)
    assert [path.stem for path in checkpoints_in(folder)] == ["000000003", "000000004"]
    assert read_state(newest(folder)).tensors["snapshot.4"].tolist() == [0, 0, 0]
    assert len(snapshot_files(folder)) == 2


def test_a_snapshot_that_is_missing_damaged_or_elsewhere_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "run.h5.checkpoints"
    keeper = Keeper(tmp_path / "run.h5", every_s=None, every_steps=1, keep=2)
    path = keeper.write(3, state_of(2))
    (snapshot,) = folder.glob("snapshot-*")
    content = snapshot.read_bytes()
    snapshot.write_bytes(content[:-1] + b"x")
    with pytest.raises(UserError, match=r"snapshot-.* is damaged"):
        read_state(path)
    snapshot.rename(tmp_path / snapshot.name)
    with pytest.raises(UserError, match="cannot be read"):
        read_state(path)
    write_state(path, State({}, {}), {"2": f"../{snapshot.name}"})
    with pytest.raises(UserError, match="is no snapshot of version 2"):
        read_state(path)


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
    words = "version 20 could not be written: .* resume the one before it, of version 10: '"
    with pytest.raises(RunFailed, match=words):
        behind.finish()
    assert read_state(named(folder, 10)).tensors["parameters"].tolist() == [1, 1, 1]
    assert not list(folder.glob(".*"))
