"""The data set lies once on each node, and nothing of it stays behind."""

import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
JOB = {
    "run": {"gradient_limit": 8},
    "method": {"preset": "async"},
    "data": {"dataset": "digits", "batch_size": 16, "validation": 0.1},
    "model": {"name": "models_for_ranks:small"},
}
TRAINING_SAMPLES = 1442  # of 8 x 8 bytes; a label and the number in a shard take 8 bytes each
LABEL_BYTES = 8
WITHOUT_ROOM = """
from hybridmpi.cli import main
from hybridmpi.transport import node_memory

node_memory.room_bytes = lambda: 1000
main(["train", "job.toml"])
"""
REFUSED = """
from pathlib import Path
from mpi4py import MPI
from shared_data import windows
from hybridmpi.cli import main
from hybridmpi.engines.mpi.setup import Ranks

free = Ranks.free

def watched(self):
    before = len(windows())
    free(self)
    Path(f"windows{MPI.COMM_WORLD.rank}").write_text(f"{before} {len(windows())}")

Ranks.free = watched
main(["train", "job.toml", "--set", "model.name=models_for_ranks:without_parameters"])
"""


@pytest.fixture(scope="module")
def said(ranks_of_module: Any) -> list[dict[str, Any]]:
    (ranks_of_module.folder / "job.json").write_text(json.dumps(JOB))
    ended = ranks_of_module.mpirun(3, "-m", "mpi4py", str(HERE / "shared_data.py"))
    assert ended.exit_code == 0, ended
    said: list[dict[str, Any]] = json.loads((ranks_of_module.folder / "said.json").read_text())
    return said


def test_all_ranks_of_a_node_map_a_window_whose_file_is_gone(said: list[Any]) -> None:
    windows = [rank["shared"]["windows"] for rank in said]
    assert windows[0] == windows[1] == windows[2] != []
    for window in windows[0]:  # MPICH has another one for its own use
        path, note = window.split()
        assert note == "(deleted)"
        assert str(Path(path).parent) == said[0]["folder"]


def test_window_is_freed_with_the_ranks(said: list[Any]) -> None:
    assert [rank["freed"] for rank in said] == [[], [], []]


def test_shared_samples_are_counted_once(said: list[Any]) -> None:
    server, *workers = (rank["shared"]["data_bytes"] for rank in said)
    assert server > TRAINING_SAMPLES * (64 + LABEL_BYTES)
    assert workers == [0, 0]


def test_without_room_each_worker_copies_its_shard(said: list[Any]) -> None:
    assert all(rank["copied"]["windows"] == [] for rank in said)
    copied = sum(rank["copied"]["data_bytes"] for rank in said[1:])
    assert copied == (TRAINING_SAMPLES - 144) * (64 + LABEL_BYTES)


def test_batches_are_the_same_shared_or_copied(said: list[Any]) -> None:
    shared, copied = ([rank[how]["batches"] for rank in said[1:]] for how in ("shared", "copied"))
    assert shared == copied
    assert shared[0] != shared[1]


def test_too_little_shared_memory_is_told_once(ranks: Any) -> None:
    ended = ranks.mpirun(3, "-m", "mpi4py", "-c", WITHOUT_ROOM)
    assert ended.exit_code == 0, ended
    output = ended.stdout + ended.stderr
    assert output.count("of shared memory left; each worker there keeps a copy of its shard") == 1
    assert ranks.read().status == "complete"


def test_run_says_nothing_beside_its_own_messages(ranks: Any) -> None:
    assert ranks.launch(3).told == []


def test_window_is_freed_when_a_job_is_refused(ranks: Any) -> None:
    assert ranks.mpirun(3, "-m", "mpi4py", "-c", REFUSED).exit_code == 2
    for rank in range(3):
        before, after = (ranks.folder / f"windows{rank}").read_text().split()
        assert int(before) > int(after) == 0
