"""A simulated run on a disk that fills up: it stops, says what was saved, and spoils nothing."""

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybridmpi import read_run
from hybridmpi.checkpoints.file import checkpoints_in, folder_of, read_state, snapshots_of
from hybridmpi.runlog.run import Run

JOB = """
run = { gradient_limit = 1_000_000, output = "disk/run.h5" }
method = { preset = "hybrid", threshold = { schedule = "step", every = 50 } }
data = { dataset = "digits", batch_size = 2 }
model = { name = "lenet" }
simulate = { workers = 4 }
"""
WITHOUT_LEARNING = ("simulate.learning=false",)
CHECKPOINTS = (  # of 12 versions, each held by one worker: far larger than the run file
    *("checkpoint.every_steps=12", "evaluation.every_steps=12"),
    *("simulate.workers=12", "method.preset=async"),
)
SNAPSHOTS = ("run.keep_snapshots=true", "evaluation.every_steps=1", "run.gradient_limit=20")


def simulate(folder: Path, *settings: str, **process: Any) -> subprocess.CompletedProcess[str]:
    (folder / "job.toml").write_text(JOB)
    options = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "hybridmpi", "simulate", "job.toml", *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, **process
    )


def check(ended: subprocess.CompletedProcess[str], folder: Path) -> Run:
    """Check what is told, and that the run file and all checkpoints are good; return the run."""
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr
    run = read_run(folder / "disk" / "run.h5")
    assert run.status == "failed"
    assert run.accounting().pushed == len(run.gradients) > 0
    assert run.steps.version.tolist() == list(range(1, len(run.steps) + 1))
    left = [path for path in (folder / "disk").rglob("*") if path.is_file()]
    checkpoints = checkpoints_in(folder_of(run.path))
    snapshots = {name for checkpoint in checkpoints for name in snapshots_of(checkpoint)}
    assert {path.name for path in left} == {"run.h5", *snapshots, *(p.name for p in checkpoints)}
    for checkpoint in checkpoints:
        read_state(checkpoint)
    return run


def check_run_file(ended: subprocess.CompletedProcess[str], folder: Path) -> None:
    run = check(ended, folder)
    saved = f"{len(run.gradients):,} gradients, version {len(run.steps):,}"
    assert "writing the run file 'disk/run.h5' failed: " in ended.stderr
    assert f"it holds everything up to {saved}" in ended.stderr
    assert "everything up to" in run.attributes["error"]


def check_checkpoint(ended: subprocess.CompletedProcess[str], folder: Path) -> None:
    run = check(ended, folder)
    told = re.search(r"the checkpoint of version (\d+) could not be written", ended.stderr)
    assert told
    if found := checkpoints_in(folder_of(run.path)):
        newest = int(found[-1].stem)
        assert newest < int(told[1])
        assert f"resume the one before it, of version {newest}" in ended.stderr
    else:
        assert "there is none before it" in ended.stderr


Check = Callable[[subprocess.CompletedProcess[str], Path], None]
# Bytes of a disk, bytes of a file, settings, and what is to be found.
CASES: dict[str, tuple[int, int, tuple[str, ...], Check]] = {
    "run file": (2_000_000, 2_000_000, WITHOUT_LEARNING, check_run_file),
    "checkpoint": (12_000_000, 1_500_000, CHECKPOINTS, check_checkpoint),
    "snapshots": (2_500_000, 2_500_000, SNAPSHOTS, check_run_file),
}


@pytest.mark.parametrize("what", CASES)
def test_full_disk(tmp_path: Path, small_disk: Callable[[str, int], Path], what: str) -> None:
    num_bytes, _, settings, check_what = CASES[what]
    small_disk("disk", num_bytes)
    check_what(simulate(tmp_path, *settings), tmp_path)


@pytest.mark.parametrize("what", CASES)
def test_file_that_may_not_grow(tmp_path: Path, what: str) -> None:
    _, num_bytes, settings, check_what = CASES[what]
    ended = simulate(
        tmp_path,
        *settings,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes)),
    )
    check_what(ended, tmp_path)


def test_disk_that_is_full_from_the_beginning(
    tmp_path: Path, small_disk: Callable[[str, int], Path]
) -> None:
    disk = small_disk("disk", 100_000)
    ended = simulate(tmp_path, *WITHOUT_LEARNING)
    assert ended.returncode == 2
    assert "cannot write 'disk/run.h5': No space left on device" in ended.stderr
    assert not list(disk.iterdir())
