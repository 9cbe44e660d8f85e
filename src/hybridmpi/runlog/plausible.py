"""Whether what a run file says can be: readers count on it.

Nearly all damage is noticed by HDF5, whose metadata have checksums, or by the hash of the content
of a run that has ended. This is for the rest: runs that have not ended, and files made by hand.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hybridmpi.runlog.run import Run

_LARGEST = 2**53  # as a float, it is still exact
_LONGEST_S = 1e15
_MOST_DIMENSIONS = 64  # numpy's and torch's
# Smallest values, by column, where a column has any; times are finite, too.
_LEAST = {
    **dict.fromkeys(("batch", "version", "staleness", "samples", "gradients", "shard_size"), 0),
    **dict.fromkeys(("max_staleness", "worker"), 0),
    **dict.fromkeys(("threshold", "rank"), 1),
    "step": -1,
}
_TIMES = ("time_s", "compute_s", "wait_s", "server_s")
_ENTRY = {"name": str, "shape": list, "offset": int, "dtype": str, "is_parameter": bool}


def check(run: "Run") -> None:
    """Check what readers count on.

    Raises:
        ValueError: If something cannot be; the message says what.
    """
    _check_layout(run)
    if not all(isinstance(section, dict) for section in run.config.values()):
        raise ValueError("its config is no job")
    for name in ("gradients", "steps", "evaluations", "workers", "events", "snapshots"):
        _check_columns(name, getattr(run, name))
    _check_workers(run)


def _check_columns(name: str, table: pd.DataFrame) -> None:
    for column in table.columns:
        values = table[column].to_numpy()
        if column in _TIMES:
            is_right = (values >= 0) & (values < _LONGEST_S)
        elif column in _LEAST:
            is_right = (values >= _LEAST[column]) & (values <= _LARGEST)
        else:
            continue
        if not is_right.all():
            raise ValueError(f"its {name} have a {column} of {values[~is_right][0]}")


def _check_workers(run: "Run") -> None:
    """Check that workers and staleness are those of this run: readers count by them."""
    count = len(run.workers)
    if run.workers["rank"].tolist() != list(range(1, count + 1)):
        raise ValueError(f"its workers are not the ranks 1 to {count}")
    # A run that went on with fewer workers has rows of those that are gone, too.
    fewest = 1 if run.attributes.get("shared_out_anew") else count
    if not fewest <= run.attributes.get("num_workers", count) <= count:
        raise ValueError(f"it has {count} workers, but says {run.attributes['num_workers']}")
    pushed_by = _column(run.gradients, "worker")
    if len(pushed_by) and not 1 <= pushed_by.min() <= pushed_by.max() <= count:
        raise ValueError(f"its gradients are of other workers than 1 to {count}")
    if _column(run.events, "worker").max(initial=0) > count:
        raise ValueError(f"its events are of other workers than 1 to {count}")
    most_stale = _column(run.gradients, "staleness").max(initial=0)
    if most_stale > len(run.steps):
        raise ValueError(f"it has a staleness of {most_stale} in {len(run.steps)} steps")


def _column(table: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """Return a column; nothing of one that an older file lacks."""
    numbers: NDArray[np.int64] = table[name].to_numpy() if name in table else np.empty(0, np.int64)
    return numbers


def _check_layout(run: "Run") -> None:
    size, entries = run.layout.get("size"), run.layout.get("entries", [])
    if not isinstance(size, int) or (run.final is not None and len(run.final) != size):
        raise ValueError(f"its layout is of {size!r} elements, unlike its final parameters")
    if not isinstance(entries, list) or not all(map(_is_entry, entries)):
        raise ValueError("its layout is none")


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and all(isinstance(entry.get(name), kind) for name, kind in _ENTRY.items())
        and len(entry["shape"]) <= _MOST_DIMENSIONS
        and all(isinstance(side, int) and 0 <= side <= _LARGEST for side in entry["shape"])
        and 0 <= entry["offset"] <= _LARGEST
        and (not entry.get("is_channels_last") or len(entry["shape"]) == 4)
    )
