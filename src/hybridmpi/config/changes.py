"""What a field of a job changes: the one marker that each field has, in its annotation.

Whatever tells jobs apart asks the markers: which runs `compare` reuses, what may differ when a run
is resumed, what a replay computes again. A field inside a table of a section (`method.stale`, a
schedule) has the marker of the field that holds the table.
"""

from enum import Enum
from typing import Literal

Engine = Literal["simulate", "mpi"]


class Changes(Enum):
    """What differs between two runs whose jobs differ in this field only."""

    RESULT = "result"
    """what is learned, or what the run file holds of it"""
    RESULT_UNDER_MPI = "result under MPI"
    """the same, but a simulation takes no notice of it"""
    RESULT_IN_SIMULATION = "result in a simulation"
    """the same, but a run under MPI takes no notice of it"""
    RANKS = "how ranks run"
    """under MPI only: on what and how fast ranks run, and for how long they are waited for; times
    follow from it, but it is no part of the method"""
    END = "when it ends"
    """how far the same run goes"""
    PLACE = "where it runs"
    """where files lie, what is kept beside the run file, how much memory is used"""

    def counts_for(self, engine: str) -> bool:
        """Say whether runs of an engine that differ in it are two different runs."""
        if engine == "mpi":
            return self not in (Changes.RESULT_IN_SIMULATION, Changes.PLACE)
        return self in (Changes.RESULT, Changes.RESULT_IN_SIMULATION, Changes.END)

    @property
    def is_open_to_resumed_runs(self) -> bool:
        """Whether `--set` may give it another value when a run is resumed from a checkpoint."""
        return self in (Changes.RANKS, Changes.END, Changes.PLACE)

    def makes_another_run(self, engine: str) -> bool:
        """Say whether a run of an engine cannot be resumed as one with another value of it."""
        return self.counts_for(engine) and not self.is_open_to_resumed_runs
