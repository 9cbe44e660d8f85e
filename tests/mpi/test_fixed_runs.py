"""The same job computes the same bits in every version of this package."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fixed_runs import CONDITIONS, JOBS, hash_of

HERE = Path(__file__).parent
HASHES = {
    "digits": "b0d2e5bf1e1d20d1",
    "synthetic": "1e7569f2106fa69e",
    "bfloat16": "01b90907eb7c6a69",
}
UNDER_MPI = "862beae8b3d72de7"  # of the digits with one worker
TORCH = "2.14.1"  # others may compute other bits
TRAIN = """
import json
from pathlib import Path
from hybridmpi.config.load import parse_job
from hybridmpi.engines.mpi.train import train

job = parse_job(json.loads(Path("job.json").read_text()), "job")
train(job, Path("runs/run.h5"))
"""


@pytest.fixture(autouse=True, scope="module")
def _same_torch() -> None:
    if torch.__version__.partition("+")[0] != TORCH or platform.machine() != "x86_64":
        pytest.skip(f"recorded with torch {TORCH} on x86_64")


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", "import fixed_runs; fixed_runs.main()"],
        cwd=HERE,
        env={**os.environ, **CONDITIONS},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", JOBS)
def test_run_has_the_bits_that_it_always_had(hashes: dict[str, str], name: str) -> None:
    assert hashes[name] == HASHES[name]


def test_one_worker_under_mpi_too(ranks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CONDITIONS.items():
        monkeypatch.setenv(name, value)
    job = {**JOBS["digits"], "run": {"gradient_limit": 60, "seed": 3, "output": "runs/run.h5"}}
    (ranks.folder / "job.json").write_text(json.dumps(job))
    ended = ranks.mpirun(2, "-c", TRAIN)
    assert ended.exit_code == 0, ended
    assert hash_of(ranks.read()) == UNDER_MPI
