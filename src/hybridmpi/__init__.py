"""Parallel SGD between synchronous and asynchronous, under MPI."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridmpi.learning.problem import Metric, Problem
    from hybridmpi.learning.samples import DatasetSamples, TensorSamples
    from hybridmpi.runlog.reader import read_run

__all__ = ["DatasetSamples", "Metric", "Problem", "TensorSamples", "__version__", "read_run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Lazily, since pandas takes longer to import than all the rest that a rank needs, and torch a
    # second or two.
    if name == "read_run":
        from hybridmpi.runlog.reader import read_run

        return read_run
    if name in ("Metric", "Problem"):
        from hybridmpi.learning import problem

        return getattr(problem, name)
    if name in ("DatasetSamples", "TensorSamples"):
        from hybridmpi.learning import samples

        return getattr(samples, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
