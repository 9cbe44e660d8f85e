"""Parallel SGD between synchronous and asynchronous, under MPI."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridmpi.api.experiments import compare, report
    from hybridmpi.api.jobs import load_job
    from hybridmpi.api.run import Run, read_run
    from hybridmpi.api.runs import calibrate, launch, replay, simulate, what_if
    from hybridmpi.config.job import Job
    from hybridmpi.errors import RunFailed, UserError
    from hybridmpi.learning.problem import Metric, Problem
    from hybridmpi.learning.samples import DatasetSamples, TensorSamples

__all__ = [
    "DatasetSamples",
    "Job",
    "Metric",
    "Problem",
    "Run",
    "RunFailed",
    "TensorSamples",
    "UserError",
    "__version__",
    "calibrate",
    "compare",
    "launch",
    "load_job",
    "read_run",
    "replay",
    "report",
    "simulate",
    "what_if",
]
__version__ = "0.1.0"

_HOMES = {
    "hybridmpi.api.experiments": ("compare", "report"),
    "hybridmpi.api.jobs": ("load_job",),
    "hybridmpi.api.run": ("Run", "read_run"),
    "hybridmpi.api.runs": ("calibrate", "launch", "replay", "simulate", "what_if"),
    "hybridmpi.config.job": ("Job",),
    "hybridmpi.errors": ("RunFailed", "UserError"),
    "hybridmpi.learning.problem": ("Metric", "Problem"),
    "hybridmpi.learning.samples": ("DatasetSamples", "TensorSamples"),
}


def __getattr__(name: str) -> object:
    # Lazily: a rank needs little of it, and pandas or torch take as long to import as all the rest.
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
