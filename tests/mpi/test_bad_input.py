"""Bad input under mpirun: one message, exit code 2, and nothing left behind."""

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

TRAIN = ("-m", "mpi4py", "-m", "hybridmpi", "train", "job.toml")
ON_EACH_RANK = """
from mpi4py import MPI
from hybridmpi.cli import main

main(["train", "job.toml", "--set", f"run.seed={7 + MPI.COMM_WORLD.rank}"])
"""
MOST_LINES_OF_MPIRUN = 6

# Options of `launch`, and what the message must say: found as the job is read, as the data are
# shared out, on every rank, and as the run file is made.
BAD: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unknown data set": (
        ("--set", "data.dataset=fashon-mnist"),
        ("data set 'fashon-mnist' is unknown", "did you mean 'fashion-mnist'"),
    ),
    "batch larger than a shard": (
        ("--set", "data.batch_size=2000"),
        ("batch_size is 2000", "lower batch_size to 1442"),
    ),
    "own model that raises": (
        ("--set", "model.name=models_for_ranks:raising_when_built"),
        ("raised ValueError: no model for (1, 8, 8) and 10 classes",),
    ),
    "output that cannot be written": (
        ("--set", "run.output=job.toml/run.h5"),
        ("cannot write", "job.toml/run.h5"),
    ),
}


def check_told_once(ended: Any, *words: str) -> None:
    """Check exit code and message, and that there is little else on stderr."""
    assert ended.exit_code == 2, ended
    assert len(ended.errors) == 1, ended
    for word in words:
        assert ended.count(word) == 1, ended
    assert ended.count("Traceback") == 0, ended
    assert len(ended.told) <= 1 + MOST_LINES_OF_MPIRUN, ended


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_once_and_leaves_nothing(ranks: Any, name: str) -> None:
    options, words = BAD[name]
    check_told_once(ranks.launch(2, *options), *words)
    assert ranks.output() == []


def test_more_workers_than_samples(ranks: Any) -> None:
    ended = ranks.launch(3, "--set", "data.dataset=models_for_ranks:one_sample")
    check_told_once(ended, "2 workers can't share 1 training sample", "start fewer workers")
    assert ranks.output() == []


def test_one_rank_only(ranks: Any) -> None:
    for ended in (ranks.mpirun(1, *TRAIN), ranks.without_mpirun(*TRAIN)):
        check_told_once(ended, "there is one rank only", "hybridmpi launch -n 5")
    assert ranks.output() == []


def test_where_ranks_are_given_different_jobs_that_of_rank_0_counts(ranks: Any) -> None:
    assert ranks.mpirun(3, "-m", "mpi4py", "-c", ON_EACH_RANK).exit_code == 0
    run = ranks.read()
    assert (run.status, run.config["run"]["seed"]) == ("complete", 7)


def test_run_file_that_exists_is_replaced_only_by_force(ranks: Any) -> None:
    ranks.run_file.parent.mkdir()
    ranks.run_file.write_text("precious")
    check_told_once(ranks.launch(2), "run.h5' exists already", "--force")
    assert ranks.run_file.read_text() == "precious"
    assert ranks.launch(2, "--force").exit_code == 0
    assert ranks.read().status == "complete"
    assert ranks.output() == ["run.h5"]


@pytest.fixture
def damaged_mnist(tmp_path: Path) -> Path:
    """Copy MNIST's files, and change one byte in what one of them holds."""
    root = Path(os.environ.get("HYBRIDMPI_DATA", "data"))
    packed = sorted(root.rglob("train-labels-idx1-ubyte.gz"))
    if not packed:
        pytest.skip("HYBRIDMPI_DATA names no folder that holds MNIST's .gz files")
    folder = tmp_path / "data"
    damaged = folder / packed[0].relative_to(root)
    shutil.copytree(packed[0].parent, damaged.parent)
    content = bytearray(gzip.decompress(damaged.read_bytes()))
    content[1000] ^= 1
    damaged.write_bytes(gzip.compress(content))
    return folder


def test_damaged_data_file(ranks: Any, damaged_mnist: Path) -> None:
    ended = ranks.launch(2, "--set", "data.dataset=mnist", "--set", f"data.root={damaged_mnist}")
    check_told_once(ended, "is damaged", "md5")
    assert ranks.output() == []
