"""Parallel SGD between synchronous and asynchronous, under MPI."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridmpi.runlog.reader import read_run

__all__ = ["__version__", "read_run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Lazily, since pandas takes longer to import than all the rest that a rank needs.
    if name == "read_run":
        from hybridmpi.runlog.reader import read_run

        return read_run
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
