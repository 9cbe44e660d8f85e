"""A run under MPI on a disk that fills up: told once, all ranks end, and nothing is spoilt."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybridmpi.checkpoints.file import checkpoints_in, folder_of, read_state, snapshots_of

ENDLESS = ("--set", "run.gradient_limit=10000000", "--set", "method.preset=async")
CHECKPOINTS = (
    *("--set", "checkpoint.every_steps=50", "--set", "evaluation.every_steps=50"),
    *("--set", "model.name=lenet"),
)
SOON_S = 120.0


@pytest.mark.parametrize("what", ["run file", "checkpoint"])
def test_full_disk_ends_the_run(
    ranks: Any, small_disk: Callable[[str, int], Path], what: str
) -> None:
    settings = CHECKPOINTS if what == "checkpoint" else ()
    small_disk("runs", 500_000 if what == "run file" else 3_000_000)
    with ranks.launched(3, *ENDLESS, *settings) as running:
        ended = running.wait()
        assert not running.left_alive()
    assert (ended.exit_code, len(ended.errors)) == (1, 1), ended
    assert ended.seconds < SOON_S
    run = ranks.read()
    checkpoints = checkpoints_in(folder_of(run.path))
    left = {path.name for path in run.path.parent.rglob("*") if path.is_file()}
    snapshots = {name for path in checkpoints for name in snapshots_of(path)}
    assert left == {"run.h5", *snapshots, *(path.name for path in checkpoints)}
    assert run.status == "failed"
    saved = f"{len(run.gradients):,} gradients, version {len(run.steps):,}"
    told = [f"it holds everything up to {saved}"]
    if checkpoints:  # whichever finds the disk full first
        version = int(checkpoints[-1].stem)
        assert read_state(checkpoints[-1]).facts["core"]["version"] == version
        told.append(f"resume the one before it, of version {version}")
    assert sum(map(ended.count, told)) == 1, ended
