"""Tells jobs apart by what they do, not by how they are written.

Two jobs have one canonical form only where they provably make the same run:

- Only fields count that change the result of the engine's runs, as the fields' markers say
  (`config.changes`): not where data lie and a run file goes, how often there is a checkpoint, or
  how many samples are evaluated at a time, which changes the recorded losses by rounding; in a
  simulation nothing that concerns real ranks, and under MPI nothing of [simulate].

- A threshold that stays between two whole numbers, once it is cut to 1 ... number of workers, is
  constant; at the number of workers it is the number of active ones.
- With threshold 1 every accepted gradient is a step of its own. Its mean, sum and sum / sqrt(1) are
  one, and its worker is released by that step, whether it would wait or continue.
- With one worker, or where all workers wait for each step and none can be lost, no gradient is ever
  stale, and the rule for stale ones is never asked.
- Delays that nobody has change nothing.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from hybridmpi.config import Job
from hybridmpi.config.fields import fields_that_count
from hybridmpi.config.schedules import (
    AnyCurve,
    Constant,
    Exponential,
    Join,
    Linear,
    Polynomial,
    Step,
)

_HASH_LENGTH = 10


def canonical(job: Job, engine: str, num_workers: int) -> dict[str, Any]:
    """Return what a run depends on, in one form for all jobs that are the same protocol.

    Args:
        job: The job.
        engine: "simulate" or "mpi".
        num_workers: Number of workers.
    """
    form: dict[str, Any] = fields_that_count(job, engine)
    form |= {"engine": engine, "num_workers": num_workers}
    form["method"] = method = _method(job, form["method"], num_workers)
    if int(job.delays.fraction * num_workers) == 0:
        del form["delays"]
    all_stay = job.simulate.trace is None
    if engine == "simulate" and (num_workers == 1 or (all_stay and _is_synchronous(method))):
        method["stale"] = {"rule": "accept"}
    return form


def digest(form: Mapping[str, Any]) -> str:
    """Return a short hash of a canonical form."""
    text = json.dumps(form, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def _method(job: Job, given: Mapping[str, Any], num_workers: int) -> dict[str, Any]:
    method = {name: value for name, value in given.items() if name != "preset"}
    constant = _constant_threshold(job, num_workers)
    if constant is not None:
        method["threshold"] = {"constant": constant}
    if constant == 1:
        method |= {"aggregation": "mean", "after_push": "wait"}
    return method


def _is_synchronous(method: dict[str, Any]) -> bool:
    return (method["threshold"], method["after_push"]) == ({"constant": "workers"}, "wait")


def _constant_threshold(job: Job, num_workers: int) -> int | str | None:
    """Return the threshold if it is the same throughout the run."""
    table = job.method.threshold
    if num_workers == 1:
        return 1
    assert table is not None
    longest = job.run.time_limit_s if table.unit == "seconds" else None
    bounds = {_cut(value, num_workers) for value in _bounds(table, longest or math.inf)}
    if len(bounds) > 1:
        return None
    (value,) = bounds
    return "workers" if value == num_workers else value


def _cut(value: float, num_workers: int) -> int:
    return num_workers if value >= num_workers else math.floor(max(1.0, value))


def _bounds(table: AnyCurve, longest: float) -> tuple[float, float]:
    """Return values that a curve does not leave at 0 <= n <= longest, whatever its kind."""
    match table:
        case Constant():
            value = table.curve()(0)
            return value, value
        case Join():
            bounds = [_bounds(piece, longest) for piece in table.pieces]
            return min(low for low, _ in bounds), max(high for _, high in bounds)
    last = _last(table, longest)
    first = table.curve()(0)
    return min(first, last), max(first, last)


def _last(table: Step | Linear | Polynomial | Exponential, longest: float) -> float:
    """Return the value at n = longest of a curve that only rises or only falls."""
    if longest < math.inf:
        return table.curve()(longest)
    if table.final is not None:
        return table.final
    match table:
        case Step(increment=change) | Linear(slope=change):
            pass
        case Exponential():
            change = math.log(table.factor)
    return table.curve()(0) if change == 0 else math.copysign(math.inf, change)
