"""What a cluster does to a run without ending it, all at once; and a folder that is read-only."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def test_slow_worker_nan_and_a_clock_that_jumps_back_spoil_nothing(ranks: Any) -> None:
    settings = ("model.name=models_for_ranks:under_adverse_conditions", "method.preset=async")
    ended = ranks.launch(
        4, *(f"--set={setting}" for setting in (*settings, "run.gradient_limit=1000"))
    )
    assert ended.exit_code == 0, ended
    run = ranks.read()
    assert (run.status, len(run.gradients)) == ("complete", 1000)
    rows = run.gradients
    slow, fast = (rows.compute_s[rows.worker == worker].median() for worker in (1, 2))
    assert slow > 20 * fast
    assert 1 < (rows.worker == 1).sum() < 100
    assert 0.001 < (~rows.accepted).mean() < 0.03
    assert (rows.loss.isna() == ~rows.accepted).all()
    assert (np.diff(rows.time_s) >= 0).all()
    assert 0 < run.duration_s < ended.seconds
    replayed = ranks.without_mpirun("-m", "hybridmpi", "replay", str(ranks.run_file))
    assert replayed.exit_code == 0, replayed


def test_read_only_folder_is_refused_before_training(
    ranks: Any, small_disk: Callable[[str, int], Path]
) -> None:
    folder = small_disk("runs", 2**20)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    ended = ranks.launch(2)
    assert (ended.exit_code, len(ended.errors)) == (2, 1), ended
    assert "Read-only file system" in ended.errors[0]
    assert not list(folder.iterdir())
