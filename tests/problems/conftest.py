"""Jobs of problems of any kind, and runs of them on virtual time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybridmpi import read_run
from hybridmpi.config import Job
from hybridmpi.config.load import parse_job
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.runlog.run import Run


@pytest.fixture(autouse=True)
def _modules_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def job_of() -> Callable[..., Job]:
    """Return a function that makes a job of a problem, with fields replaced."""

    def make(name: str, options: dict[str, Any] | None = None, **sections: Any) -> Job:
        tree: dict[str, Any] = {
            "run": {"gradient_limit": 24},
            "method": {"preset": "async"},
            "problem": {"name": name, "options": options or {}},
            "data": {"batch_size": 4},
            "simulate": {"workers": 3, "jitter": {"distribution": "exponential"}},
        }
        for section, fields in sections.items():
            tree[section] = tree.get(section, {}) | fields
        return parse_job(tree, "job")

    return make


@pytest.fixture
def simulate(tmp_path: Path, job_of: Callable[..., Job]) -> Callable[..., Run]:
    """Return a function that simulates such a job, and returns its run."""

    def run(*given: Any, **sections: Any) -> Run:
        path = tmp_path / "run.h5"
        Simulation(job_of(*given, **sections)).run(path, force=True)
        return read_run(path)

    return run
