"""Parallel SGD between synchronous and asynchronous, under MPI."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridmpi.api.experiments import compare, report
    from hybridmpi.api.jobs import load_job
    from hybridmpi.api.run import Run, read_run
    from hybridmpi.api.runs import calibrate, launch, replay, simulate, what_if
    from hybridmpi.config.job import Job
    from hybridmpi.errors import RunFailed, UserError

__all__ = [
    "Job",
    "Run",
    "RunFailed",
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
}


def __getattr__(name: str) -> object:
    # Lazily, since a rank needs little of it, and pandas alone takes as long to import as the rest.
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
