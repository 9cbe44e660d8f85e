"""The scenarios: a job, a script, and the server's answers, worked out by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from script import Script

from hybridmpi.config import Job
from hybridmpi.config.load import parse_job

WORKERS = 3  # that ever are
BASE: dict[str, dict[str, Any]] = {
    # Of 481, 481 and 480 samples; all batches weigh the same.
    "data": {"dataset": "digits", "batch_size": 32, "last_batch": "drop"},
    "model": {"name": "models_for_ranks:small"},
    "optimizer": {"learning_rate": 0.05, "momentum": 0.9},
}


class Place(NamedTuple):
    """How bytes move, and among how many nodes: ranks of one machine stand for several."""

    transport: str
    num_nodes: int


@dataclass(frozen=True)
class Scenario:
    """What happens in a run.

    Attributes:
        text: See `Script`.
        run: The limits.
        method: The method.
        sections: Other sections of the job.
    """

    text: str
    run: Mapping[str, Any]
    method: Mapping[str, Any]
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def script(self) -> Script:
        return Script(self.text)

    def job(self, **sections: Mapping[str, Any]) -> Job:
        """Return the job, with fields of sections replaced."""
        tree = BASE | {"run": self.run, "method": self.method} | self.sections | sections
        tree["simulate"] = {**tree.get("simulate", {}), "workers": WORKERS}
        return parse_job(tree, "scenario")

    @property
    def present(self) -> list[int]:
        """Who is there at the start."""
        return [w for w in range(1, WORKERS + 1) if w not in self.script.absent]

    @property
    def lost(self) -> list[int]:
        """Who is not there at the end."""
        last = {change.worker: change.kind for change in self.script.changes}
        return [worker for worker, kind in last.items() if kind == "lose"]

    @property
    def places(self) -> list[Place]:
        """Where to play it.

        By messages between two nodes only where that makes a difference: parameters go by broadcast
        to all who wait. A worker that is lost, and not really gone, takes no part in a broadcast.
        """
        if self.method.get("broadcast") == "collective":
            return [Place("auto", 1)]
        places = [Place("messages", 1), Place("shared", 1), Place("shared", 2)]
        all_wait = any(h.releases == WORKERS for h in self.script.happenings[1:])
        return places + [Place("messages", 2)] * (all_wait and not self.script.changes)


def constant(value: int) -> dict[str, Any]:
    return {"schedule": "constant", "value": value}


def step(initial: int, increment: int, every: int, unit: str = "gradients") -> dict[str, Any]:
    curve = {"schedule": "step", "initial": initial, "increment": increment, "every": every}
    return {**curve, "unit": unit}


SCENARIOS = {
    "sync": Scenario(
        """
        start  -> release 1 2 3
        push 2 -> add 2.0
        push 1 -> add 1.0
        push 3 -> add 3.0; step 1 (K=3): 2 1 3; release 2 1 3
        push 3 -> add 3.1
        push 1 -> add 1.1
        push 2 -> add 2.1; step 2 (K=3): 3 1 2; release 3 1 2
        push 1 -> add 1.2; stop 1
        push 2 -> discard 2.2 late; stop 2
        push 3 -> discard 3.2 late; stop 3
        """,
        {"gradient_limit": 7},
        {"preset": "sync"},
    ),
    "async, one worker far faster": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0; step 1 (K=1): 1; release 1
        push 1 -> add 1.1; step 2 (K=1): 1; release 1
        push 1 -> add 1.2; step 3 (K=1): 1; release 1
        push 2 -> add 2.0; step 4 (K=1): 2/3; release 2
        push 1 -> add 1.3; step 5 (K=1): 1/1; release 1
        push 3 -> add 3.0; step 6 (K=1): 3/5; stop 3
        push 1 -> discard 1.4 late; stop 1
        push 2 -> discard 2.1 late; stop 2
        """,
        {"step_limit": 6},
        {"preset": "async"},
    ),
    "hybrid, dropout and batch norm": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0; step 1 (K=1): 1; release 1
        push 2 -> add 2.0; step 2 (K=1): 2/1; release 2
        push 1 -> add 1.1
        push 3 -> add 3.0; step 3 (K=2): 1/1 3/2; release 1 3
        push 2 -> add 2.1
        push 1 -> add 1.2
        push 3 -> add 3.1; step 4 (K=3): 2/1 1 3; release 2 1 3
        push 3 -> add 3.2
        push 2 -> add 2.2
        push 1 -> add 1.3; step 5 (K=3): 3 2 1; release 3 2 1
        push 2 -> add 2.3; stop 2
        push 1 -> discard 1.4 late; stop 1
        push 3 -> discard 3.3 late; stop 3
        """,
        {"gradient_limit": 11},
        {"preset": "hybrid", "threshold": step(1, 1, every=3)},
        sections={
            "model": {"name": "models_for_ranks:drawing_and_remembering"},
            "optimizer": {"name": "adam", "learning_rate": 0.002, "clip_norm": 1.0},
        },
    ),
    "hybrid, threshold and learning rate by the clock": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0; step 1 (K=1): 1; release 1
        push 2 -> add 2.0; step 2 (K=1): 2/1; release 2
        push 3 -> add 3.0; step 3 (K=1): 3/2; release 3
        push 1 -> add 1.1
        push 2 -> add 2.1; step 4 (K=2): 1/2 2/1; release 1 2
        push 3 -> add 3.1
        push 1 -> add 1.2; step 5 (K=2): 3/1 1; release 3 1
        push 2 -> add 2.2
        push 1 -> add 1.3
        push 3 -> add 3.2; step 6 (K=3): 2/1 1 3; release 2 1 3
        push 1 -> add 1.4
        limit  -> stop 1
        push 2 -> discard 2.3 late; stop 2
        push 3 -> discard 3.3 late; stop 3
        """,
        {"time_limit_s": 12.0},
        {"preset": "hybrid", "threshold": step(1, 1, every=4, unit="seconds")},
        sections={
            "optimizer": {
                "learning_rate": {
                    "schedule": "exponential",
                    "initial": 0.1,
                    "factor": 0.5,
                    "every": 4,
                    "unit": "seconds",
                }
            }
        },
    ),
    "hybrid, collective": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        push 2 -> add 2.0; step 1 (K=2): 1 2; release 1 2
        push 3 -> add 3.0
        push 2 -> add 2.1
        push 1 -> add 1.1; step 2 (K=3): 3/1 2 1; release 3 2 1
        push 1 -> add 1.2
        push 3 -> add 3.1
        push 2 -> add 2.2; step 3 (K=3): 1 3 2; stop 1 3 2
        """,
        {"gradient_limit": 8},
        {"preset": "hybrid", "threshold": step(2, 1, every=4), "broadcast": "collective"},
    ),
    "reverse-hybrid": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        push 2 -> add 2.0
        push 3 -> add 3.0; step 1 (K=3): 1 2 3; release 1 2 3
        push 2 -> add 2.1
        push 1 -> add 1.1; step 2 (K=2): 2 1; release 2 1
        push 1 -> add 1.2
        push 3 -> add 3.1; step 3 (K=2): 1 3/1; release 1 3
        push 3 -> add 3.2; step 4 (K=1): 3; release 3
        push 2 -> add 2.2; step 5 (K=1): 2/2; stop 2
        push 1 -> discard 1.3 late; stop 1
        push 3 -> discard 3.3 late; stop 3
        """,
        {"step_limit": 5},
        {"preset": "reverse-hybrid", "threshold": step(3, -1, every=4) | {"final": 1}},
    ),
    "reverse-hybrid, more is buffered than the threshold": Scenario(
        """
        start  -> release 1 2 3
        push 3 -> add 3.0
        push 1 -> add 1.0
        push 2 -> add 2.0; step 1 (K=1): 3 1 2; release 3 1 2
        push 2 -> add 2.1; step 2 (K=1): 2; stop 2
        push 3 -> discard 3.1 late; stop 3
        push 1 -> discard 1.1 late; stop 1
        """,
        {"step_limit": 2},
        {"preset": "reverse-hybrid", "threshold": step(3, -2, every=3) | {"final": 1}},
    ),
    "k-async, short last batches": Scenario(  # of 481 = 256 + 225 samples, and 480 = 256 + 224
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        push 2 -> add 2.0; step 1 (K=2): 1 2; release 1 2
        push 1 -> add 1.1
        push 3 -> add 3.0 x 1.1378; step 2 (K=2): 1 3/1; release 1 3
        push 2 -> add 2.1
        push 1 -> add 1.2 x 1.1378; step 3 (K=2): 2/1 1; stop 2 1
        push 3 -> discard 3.1 late; stop 3
        """,
        {"epoch_limit": 1.0},
        {"preset": "k-async", "threshold": constant(2)},
        sections={"data": {"dataset": "digits", "batch_size": 256, "last_batch": "keep"}},
    ),
    "k-batch-async": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0; release 1
        push 1 -> add 1.1; step 1 (K=2): 1 1; release 1
        push 2 -> add 2.0; release 2
        push 1 -> add 1.2; step 2 (K=2): 2/1 1; release 1
        push 3 -> add 3.0; release 3
        push 3 -> add 3.1; step 3 (K=2): 3/2 3; release 3
        push 2 -> add 2.1; release 2
        push 3 -> add 3.2; step 4 (K=2): 2/2 3; stop 3
        push 1 -> discard 1.3 late; stop 1
        push 2 -> discard 2.2 late; stop 2
        """,
        {"gradient_limit": 8},
        {"preset": "k-batch-async", "threshold": constant(2)},
        sections={"model": {"name": "models_for_ranks:drawing_and_remembering"}},
    ),
    "m-sync": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        push 3 -> add 3.0; step 1 (K=2): 1 3; release 1 3
        push 2 -> discard 2.0 stale; release 2
        push 2 -> add 2.1
        push 1 -> add 1.1; step 2 (K=2): 2 1; release 2 1
        push 3 -> discard 3.1 stale; release 3
        push 3 -> add 3.2; stop 3
        push 1 -> discard 1.2 late; stop 1
        push 2 -> discard 2.2 late; stop 2
        """,
        {"gradient_limit": 7},
        {"preset": "m-sync", "threshold": constant(2)},
    ),
    "k-sync, batches are abandoned": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        push 2 -> add 2.0; step 1 (K=2): 1 2; release 1 2; cancel 3
        push 3 -> add 3.1
        push 1 -> add 1.1; step 2 (K=2): 3 1; release 3 1; cancel 2
        push 2 -> add 2.2
        push 3 -> add 3.2; step 3 (K=2): 2 3; stop 2 3
        push 1 -> discard 1.2 late; stop 1
        """,
        {"step_limit": 3},
        {"preset": "k-sync", "threshold": constant(2)},
    ),
    "k-sync, collective": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        push 2 -> add 2.0; step 1 (K=2): 1 2; release 1 2; cancel 3
        push 3 -> add 3.1
        push 2 -> add 2.1; step 2 (K=2): 3 2; release 3 2; cancel 1
        push 1 -> add 1.2
        push 3 -> add 3.2; step 3 (K=2): 1 3; stop 1 3
        push 2 -> discard 2.2 late; stop 2
        """,
        {"step_limit": 3},
        {"preset": "k-sync", "threshold": constant(2), "broadcast": "collective"},
    ),
    "k-sync, pushes cross their cancellation": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        send 3 ->
        push 2 -> add 2.0; step 1 (K=2): 1 2; release 1 2; cancel 3
        push 3 -> discard 3.0 cancelled
        push 3 -> add 3.1
        push 1 -> add 1.1; step 2 (K=2): 3 1; release 3 1; cancel 2
        send 1 ->
        push 3 -> add 3.2
        push 2 -> add 2.2; step 3 (K=2): 3 2; release 3 2; cancel 1
        push 2 -> add 2.3; stop 2
        push 1 -> discard 1.2 late
        push 1 -> discard 1.3 late; stop 1
        push 3 -> discard 3.3 late; stop 3
        """,
        {"gradient_limit": 8},
        {"preset": "k-sync", "threshold": constant(2)},
    ),
    "k-sync, a loss steps and cancels": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        lose 1 ->
        join 1 -> release 1
        push 2 -> add 2.0
        lose 2 -> step 1 (K=2): 1 2; cancel 3 1
        push 3 -> add 3.1
        push 1 -> add 1.2; step 2 (K=2): 3 1; stop 3 1
        """,
        {"step_limit": 2},
        {"preset": "k-sync", "threshold": constant(3)},
    ),
    "rennala": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0; release 1
        push 1 -> add 1.1; step 1 (K=2): 1 1; release 1
        push 2 -> discard 2.0 stale; release 2
        push 2 -> add 2.1; release 2
        push 3 -> discard 3.0 stale; release 3
        push 3 -> add 3.1; step 2 (K=2): 2 3; release 3
        push 2 -> discard 2.2 stale; release 2
        push 1 -> discard 1.2 stale; release 1
        push 1 -> add 1.3; stop 1
        push 2 -> discard 2.3 late; stop 2
        push 3 -> discard 3.2 late; stop 3
        """,
        {"gradient_limit": 9},
        {"preset": "rennala", "threshold": constant(2)},
    ),
    "ringmaster": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0; step 1 (K=1): 1; release 1
        push 2 -> add 2.0; step 2 (K=1): 2/1; release 2
        push 3 -> discard 3.0 stale; release 3
        push 1 -> add 1.1; step 3 (K=1): 1/1; release 1
        push 1 -> add 1.2; step 4 (K=1): 1; release 1
        push 2 -> discard 2.1 stale; release 2
        push 3 -> discard 3.1 stale; release 3
        push 3 -> add 3.2; step 5 (K=1): 3; stop 3
        push 1 -> discard 1.3 late; stop 1
        push 2 -> discard 2.2 late; stop 2
        """,
        {"step_limit": 5},
        {"preset": "ringmaster", "stale": {"rule": "discard", "limit": 2}},
    ),
    "async, damped by the inverse": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0; step 1 (K=1): 1; release 1
        push 2 -> add 2.0; step 2 (K=1): 2/1; release 2
        push 3 -> add 3.0 x 0.5000; step 3 (K=1): 3/2; release 3
        push 1 -> add 1.1 x 0.5000; step 4 (K=1): 1/2; stop 1
        push 2 -> discard 2.1 late; stop 2
        push 3 -> discard 3.1 late; stop 3
        """,
        {"gradient_limit": 4},
        {"preset": "async", "stale": "inverse"},
    ),
    "k-async, damped by the inverse root, aggregated by sqrt": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        push 2 -> add 2.0; step 1 (K=2): 1 2; release 1 2
        push 3 -> add 3.0 x 0.7071
        push 1 -> add 1.1; step 2 (K=2): 3/1 1; release 3 1
        push 1 -> add 1.2
        push 2 -> add 2.1 x 0.7071; step 3 (K=2): 1 2/1; stop 1 2
        push 3 -> discard 3.1 late; stop 3
        """,
        {"step_limit": 3},
        {
            "preset": "k-async",
            "threshold": constant(2),
            "stale": "inverse-sqrt",
            "aggregation": "sqrt",
        },
    ),
    "k-batch-async, damped by a power, summed": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0; release 1
        push 1 -> add 1.1; step 1 (K=2): 1 1; release 1
        push 2 -> add 2.0 x 0.2500; release 2
        push 1 -> add 1.2; step 2 (K=2): 2/1 1; release 1
        push 3 -> add 3.0 x 0.1111; release 3
        push 2 -> add 2.1 x 0.2500; step 3 (K=2): 3/2 2/1; stop 2
        push 1 -> discard 1.3 late; stop 1
        push 3 -> discard 3.1 late; stop 3
        """,
        {"gradient_limit": 6},
        {
            "preset": "k-batch-async",
            "threshold": constant(2),
            "aggregation": "sum",
            "stale": {"rule": "power", "exponent": 2.0},
        },
    ),
    "sync, a gradient is not finite": Scenario(  # worker 2 has the sample in its first batch
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        push 2 -> discard 2.0 non-finite; release 2
        push 3 -> add 3.0
        push 2 -> add 2.1; step 1 (K=3): 1 3 2; release 1 3 2
        push 1 -> add 1.1; stop 1
        push 3 -> discard 3.1 late; stop 3
        push 2 -> discard 2.2 late; stop 2
        """,
        {"gradient_limit": 5},
        {"preset": "sync"},
        sections={
            "data": {
                "dataset": "models_for_ranks:digits_with_an_overflow",
                "batch_size": 32,
                "last_batch": "drop",
                "options": {"sample": 447},
            }
        },
    ),
    "sync, a worker is lost and comes back": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        push 2 -> add 2.0
        lose 3 -> step 1 (K=2): 1 2; release 1 2
        push 2 -> add 2.1
        join 3 -> release 3
        push 1 -> add 1.1
        push 3 -> add 3.1; step 2 (K=3): 2 1 3; release 2 1 3
        lose 2 ->
        push 1 -> add 1.2
        push 3 -> add 3.2; step 3 (K=2): 1 3; release 1 3
        push 3 -> add 3.3; stop 3
        push 1 -> discard 1.3 late; stop 1
        """,
        {"gradient_limit": 8},
        {"preset": "sync"},
    ),
    "sync, a worker joins that was not there": Scenario(
        """
        start  -> release 1 2
        push 2 -> add 2.0
        push 1 -> add 1.0; step 1 (K=2): 2 1; release 2 1
        push 1 -> add 1.1
        join 3 -> release 3
        push 2 -> add 2.1
        push 3 -> add 3.0; step 2 (K=3): 1 2 3; stop 1 2 3
        """,
        {"step_limit": 2},
        {"preset": "sync"},
    ),
    "k-async, workers are lost whose pushes are buffered": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        lose 1 ->
        join 1 -> release 1
        push 2 -> add 2.0
        push 1 -> add 1.1; step 1 (K=3): 1 2 1; release 2 1
        push 3 -> add 3.0
        lose 3 ->
        push 1 -> add 1.2; step 2 (K=2): 3/1 1; stop 1
        push 2 -> discard 2.1 late; stop 2
        """,
        {"step_limit": 2},
        {"preset": "k-async", "threshold": constant(3)},
    ),
    "async, a worker is lost with its push on the way": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0; step 1 (K=1): 1; release 1
        send 2 ->
        lose 2 ->
        push 3 -> add 3.0; step 2 (K=1): 3/1; release 3
        join 2 -> release 2
        push 2 -> add 2.1; step 3 (K=1): 2; release 2
        push 1 -> add 1.1; step 4 (K=1): 1/2; stop 1
        push 2 -> discard 2.2 late; stop 2
        push 3 -> discard 3.1 late; stop 3
        """,
        {"gradient_limit": 4},
        {"preset": "async"},
    ),
    "k-async, a worker is lost after the end": Scenario(
        """
        start  -> release 1 2 3
        push 1 -> add 1.0
        push 3 -> add 3.0; step 1 (K=2): 1 3; stop 1 3
        lose 2 ->
        """,
        {"step_limit": 1},
        {"preset": "k-async", "threshold": constant(2)},
    ),
    "sync, a signal": Scenario(
        """
        start           -> release 1 2 3
        push 1          -> add 1.0
        push 2 + signal -> add 2.0; stop 1 2
        push 3          -> discard 3.0 late; stop 3
        """,
        {"gradient_limit": 100},
        {"preset": "sync"},
    ),
    "sync, a push is taken at the time limit": Scenario(
        """
        start         -> release 1 2 3
        push 1        -> add 1.0
        push 2        -> add 2.0
        push 3 queued -> discard 3.0 late; stop 1 2 3
        """,
        {"time_limit_s": 3.0},
        {"preset": "sync"},
        sections={"simulate": {"server_per_gradient_s": 1.0}},
    ),
}
