"""Shared memory: taken where there is enough, refused where not, and never left behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SHARED = Path("/dev/shm")
WINDOWS = ("osc_sm*", "mpich_shar*")  # what Open MPI and MPICH call the files behind a window
# 16 MiB of what is free are left to others, so that less than a window of this model remains.
SMALL_FOLDER = 'mount -t tmpfs -o size=17m tmpfs /dev/shm && exec "$@"'


def windows() -> set[Path]:
    return {path for pattern in WINDOWS for path in SHARED.glob(pattern)}


def can_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-m", "sh", "-c", SMALL_FOLDER, "sh", "true"]
    return subprocess.run(probe, check=False, capture_output=True, timeout=10).returncode == 0


with_little = pytest.mark.skipif(
    not can_mount(), reason="needs the right to mount a small /dev/shm of its own"
)


def launch_with_little(ranks: Any, *options: str) -> Any:
    """Launch where /dev/shm is small."""
    command = [sys.executable, "-m", "hybridmpi", "launch", "-n", "3", str(ranks.job), *options]
    command += ["--set", "model.name=mnist_cnn"]
    with ranks.running(["unshare", "-m", "sh", "-c", SMALL_FOLDER, "sh", *command]) as running:
        return running.wait()


def test_ranks_of_one_node_share_memory_unless_told_otherwise(ranks: Any) -> None:
    before = windows()
    ended = ranks.launch(3)
    assert ended.exit_code == 0, ended
    assert "gradients and parameters: in shared memory" in ended.stdout
    assert ranks.read().attributes["transport"] == "shared"
    assert windows() == before
    assert ranks.launch(3, "--force", "--set", "run.transport=messages").exit_code == 0
    assert ranks.read().attributes["transport"] == "messages"


def test_no_window_is_left_when_ranks_are_killed(ranks: Any) -> None:
    before = windows()
    with ranks.launched(3, "--set", "run.gradient_limit=1000000") as running:
        ranks.wait_for_gradients()
        assert windows() == before  # not even now: their names are gone
        running.end()
    assert windows() == before
    assert ranks.read().attributes["transport"] == "shared"


@with_little
def test_too_little_shared_memory_falls_back_to_messages_and_says_why(ranks: Any) -> None:
    ended = launch_with_little(ranks)
    assert ended.exit_code == 0, ended
    assert "of shared memory, but /dev/shm has" in ended.stdout
    assert ranks.read().attributes["transport"] == "messages"


@with_little
def test_too_little_shared_memory_is_refused_where_it_was_asked_for(ranks: Any) -> None:
    ended = launch_with_little(ranks, "--set", "run.transport=shared")
    assert ended.exit_code == 2, ended
    assert ended.count("give it more (a container by --shm-size)") == 1
    assert ranks.output() == []
