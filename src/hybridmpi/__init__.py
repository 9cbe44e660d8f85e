"""Parallel SGD between synchronous and asynchronous, under MPI."""

__version__ = "0.1.0"
