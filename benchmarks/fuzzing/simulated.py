"""Small simulated runs, as material for inputs."""

from pathlib import Path
from typing import Any

from hybridmpi.config import Job
from hybridmpi.config.load import parse_job
from hybridmpi.engines.simulate.simulate import Simulation

GRADIENTS = 48


def small_job(*, learning: bool, **sections: Any) -> Job:
    """Return a job of a fraction of a second: four workers, two of them on a host with one core."""
    tree: dict[str, Any] = {
        "run": {"gradient_limit": GRADIENTS},
        "method": {
            "preset": "hybrid",
            "threshold": {"schedule": "step", "initial": 1, "increment": 1, "every": 20},
        },
        "data": {
            "dataset": "synthetic",
            "options": {"samples": 60, "shape": [1, 8, 8]},
            "batch_size": 4,
        },
        "model": {"name": "lenet"},
        "optimizer": {"name": "sgd", "momentum": 0.9},
        "evaluation": {"every_steps": 10} if learning else {},
        "simulate": {
            "workers": 4,
            "learning": learning,
            "workers_per_host": 2,
            "jitter": {"distribution": "lognormal", "sigma": 0.5},
        },
    }
    return parse_job(tree | sections, "fuzz")


def simulate(job: Job, path: Path) -> Path:
    """Run a job, unless its file is there already."""
    if not path.exists():
        Simulation(job).run(path, force=True)
    return path
