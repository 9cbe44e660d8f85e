"""What runs must share to be compared: two methods with one seed face the same world."""

from typing import Any

import numpy as np

from hybridmpi.config.fields import changes_of
from hybridmpi.config.former import with_former_defaults
from hybridmpi.experiments.study import Digest

_OF_THE_METHOD = "batch_size"  # how many samples a gradient takes


def world_differences(first: Digest, second: Digest) -> list[str]:
    """Say in what two runs differ that must not differ; empty if they can be compared."""
    aspects = {
        "engine": (first.engine, second.engine),
        "number of workers": (first.num_workers, second.num_workers),
        "T, the time of the last evaluation in s": (end_s(first), end_s(second)),
        "seed": (first.config["run"]["seed"], second.config["run"]["seed"]),
        **_data(first, second),
    }
    found = [f"{name} ({one}, {other})" for name, (one, other) in aspects.items() if one != other]
    is_same_grid = np.array_equal(first.evaluations.time_s, second.evaluations.time_s)
    if not is_same_grid and end_s(first) == end_s(second):
        found.append(f"evaluation grid ({_grid(first)}, {_grid(second)})")
    return found


def end_s(digest: Digest) -> float:
    """Return T: the time of the last evaluation, 0 without any."""
    return float(digest.evaluations.time_s.max()) if len(digest.evaluations) else 0.0


def _grid(digest: Digest) -> str:
    time_s = digest.evaluations.time_s
    if len(time_s) < 2:
        return f"{len(time_s)} times"
    return f"{len(time_s)} times, {time_s.diff().min():.6g} to {time_s.diff().max():.6g} s apart"


def _data(first: Digest, second: Digest) -> dict[str, tuple[Any, Any]]:
    sections = [with_former_defaults(run.config)["data"] for run in (first, second)]
    return {
        f"data.{name}": (sections[0].get(name), sections[1].get(name))
        for name in sorted({*sections[0], *sections[1]} - {_OF_THE_METHOD})
        if changes_of(f"data.{name}").counts_for(first.engine)
    }
