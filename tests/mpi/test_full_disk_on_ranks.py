"""A run under MPI on a disk that fills up: told once, all ranks end, and nothing is spoilt."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybridmpi.checkpoints.file import checkpoints_in, folder_of, read_state

ENDLESS = ("--set", "run.gradient_limit=10000000", "--set", "method.preset=async")
CHECKPOINTS = (
    *("--set", "checkpoint.every_steps=50", "--set", "evaluation.every_steps=50"),
    *("--set", "model.name=lenet"),
)
SOON_S = 60.0


@pytest.mark.parametrize("what", ["run file", "checkpoint"])
def test_full_disk_ends_the_run(
    ranks: Any, small_disk: Callable[[str, int], Path], what: str
) -> None:
    settings = CHECKPOINTS if what == "checkpoint" else ()
    small_disk("runs", 1_500_000 if what == "run file" else 4_000_000)
    with ranks.launched(3, *ENDLESS, *settings) as running:
        ended = running.wait()
        assert not running.left_alive()
    assert (ended.exit_code, len(ended.errors)) == (1, 1), ended
    assert ended.seconds < SOON_S
    run = ranks.read()
    checkpoints = checkpoints_in(folder_of(run.path))
    left = [path for path in run.path.parent.rglob("*") if path.is_file()]
    assert sorted(left) == sorted([run.path, *checkpoints])
    assert run.status == "failed"
    if what == "run file":
        saved = f"{len(run.gradients):,} gradients, version {len(run.steps):,}"
        assert ended.count(f"it holds everything up to {saved}") == 1, ended
    else:
        version = int(checkpoints[-1].stem)
        assert ended.count(f"resume the one before it, of version {version}") == 1, ended
        assert read_state(checkpoints[-1]).facts["core"]["version"] == version
