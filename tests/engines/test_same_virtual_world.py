"""Invariant 7 on virtual time: a seed decides what a run draws, and the method nothing of it.

Compared is what the engine really used, by worker and batch: the tensors that gradients were
computed of, and the nanoseconds that the workers took.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from hybridmpi import read_run
from hybridmpi.config.load import parse_job
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.engines.simulate.times import NS, Times
from hybridmpi.learning.batches import Batches
from hybridmpi.runlog.run import Run

WORKERS = 8
GROWING = {"schedule": "step", "initial": 1, "increment": 1, "every": 20}
METHODS: dict[str, dict[str, Any]] = {
    "sync": {"preset": "sync"},
    "async": {"preset": "async"},
    "hybrid": {"preset": "hybrid", "threshold": GROWING},
    "k-sync": {"preset": "k-sync", "threshold": {"schedule": "constant", "value": 6}},
}
DRAWN = ("batch", "compute", "delay")


def softmax(shape: tuple[int, int, int], classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))


def job(method: str, seed: int) -> dict[str, Any]:
    return {
        "run": {"gradient_limit": 160, "seed": seed, "keep_snapshots": True},
        "method": METHODS[method],
        "data": {
            "dataset": "synthetic",
            "batch_size": 8,
            "options": {"samples": 240, "shape": [1, 3, 3], "classes": 3},
            "augmentation": ["flip"],
        },
        "model": {"name": f"{__name__}:softmax"},
        "delays": {"fraction": 0.5, "min_s": 0.1, "max_s": 0.5},
        "simulate": {
            "workers": WORKERS,
            "compute_per_sample_s": 0.1,
            "jitter": {"distribution": "lognormal", "sigma": 0.5},
            "latency_s": [0.05],
            "loss": [0.3],
        },
    }


@dataclass
class World:
    """What a run used: for each kind of draw the values by worker and batch, and the run file."""

    used: dict[str, dict[tuple[int, int], Any]] = field(default_factory=lambda: defaultdict(dict))
    run: Run = field(init=False)

    @property
    def initial(self) -> Any:
        """The parameters of version 0, shape [size]."""
        return self.run.snapshot(0)

    def in_common(self, other: "World", kind: str) -> list[tuple[Any, Any]]:
        """Return the values of the batches that both runs had, in pairs."""
        ours, theirs = self.used[kind], other.used[kind]
        return [(ours[key], theirs[key]) for key in sorted(ours.keys() & theirs.keys())]


class WatchedTimes:
    """Notes the times that it hands on."""

    def __init__(self, times: Times, world: World) -> None:
        self._times = times
        self._used = world.used

    def compute_ns(self, worker: int, batch: int, samples: int) -> int:
        taken = self._used["compute"][worker, batch] = self._times.compute_ns(
            worker, batch, samples
        )
        return taken

    def delay_ns(self, worker: int, batch: int) -> int:
        if taken := self._times.delay_ns(worker, batch):
            self._used["delay"][worker, batch] = taken
        return taken

    def down_ns(self, worker: int, batch: int) -> int:
        taken = self._used["release"][worker, batch] = self._times.down_ns(worker, batch)
        return taken

    def up_ns(self, worker: int, batch: int) -> int:
        taken = self._used["push"][worker, batch] = self._times.up_ns(worker, batch)
        return taken


class WatchedBatches:
    """Notes the batches of a worker that it hands on."""

    def __init__(self, batches: Batches, worker: int, world: World) -> None:
        self._batches = batches
        self._worker = worker
        self._used = world.used["batch"]

    def get(self, n: int) -> tuple[Tensor, Tensor]:
        inputs, labels = self._batches.get(n)
        self._used[self._worker, n] = inputs.numpy().tobytes() + labels.numpy().tobytes()
        return inputs, labels


def simulated(method: str, seed: int, path: Path, patch: pytest.MonkeyPatch) -> World:
    world = World()
    simulation = Simulation(
        parse_job(job(method, seed), "job"), times=lambda times: WatchedTimes(times, world)
    )
    learners = simulation.learners
    assert learners is not None
    batches: Callable[[int, tuple[int, ...]], Batches] = learners.batches
    patch.setattr(
        learners,
        "batches",
        lambda worker, losses: WatchedBatches(batches(worker, losses), worker, world),
    )
    simulation.run(path)
    world.run = read_run(path)
    return world


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    """Return what each method used with seed 3, and what sync did with seed 4."""
    folder = tmp_path_factory.mktemp("worlds")
    with pytest.MonkeyPatch.context() as patch:
        made = {name: simulated(name, 3, folder / f"{name}.h5", patch) for name in METHODS}
        made["other seed"] = simulated("sync", 4, folder / "other.h5", patch)
    return made


@pytest.mark.parametrize("kind", [*DRAWN, "release", "push"])
@pytest.mark.parametrize("method", ["async", "hybrid", "k-sync"])
def test_one_seed_draws_the_same_for_every_method(
    worlds: dict[str, World], method: str, kind: str
) -> None:
    pairs = worlds["sync"].in_common(worlds[method], kind)
    assert len(pairs) > 50
    assert len({ours for ours, _ in pairs}) > 1
    assert all(ours == theirs for ours, theirs in pairs)


@pytest.mark.parametrize("kind", DRAWN)
def test_another_seed_draws_nothing_alike(worlds: dict[str, World], kind: str) -> None:
    pairs = worlds["sync"].in_common(worlds["other seed"], kind)
    assert len(pairs) >= 20
    assert all(ours != theirs for ours, theirs in pairs)


def test_the_seed_decides_the_initial_parameters(worlds: dict[str, World]) -> None:
    initial = worlds["sync"].initial
    for method in METHODS:
        np.testing.assert_array_equal(worlds[method].initial, initial)
    assert (worlds["other seed"].initial != initial).all()


def test_the_seed_decides_which_workers_are_delayed(worlds: dict[str, World]) -> None:
    delayed = {
        name: frozenset(worker for worker, _ in world.used["delay"])
        for name, world in worlds.items()
    }
    assert len(delayed["sync"]) == WORKERS // 2
    assert {delayed[method] for method in METHODS} == {delayed["sync"]}
    assert delayed["other seed"] != delayed["sync"]


@pytest.mark.parametrize("name", [*METHODS, "other seed"])
def test_run_file_tells_of_the_compute_times_that_were_used(
    worlds: dict[str, World], name: str
) -> None:
    gradients, used = worlds[name].run.gradients, worlds[name].used["compute"]
    pushed = zip(gradients.worker, gradients.batch, strict=True)
    assert gradients.compute_s.tolist() == [used[key] / NS for key in pushed]


def test_first_losses_are_those_of_the_same_parameters_on_the_same_batches(
    worlds: dict[str, World],
) -> None:
    losses = {}
    for name, world in worlds.items():
        gradients = world.run.gradients
        first = gradients[(gradients.batch == 0) & (gradients.version == 0)]
        losses[name] = first.set_index("worker").loss.to_dict()
    for method in ("async", "hybrid"):
        assert losses[method] == losses["sync"]
        assert len(losses[method]) == WORKERS
    assert losses["k-sync"].items() <= losses["sync"].items()
    assert set(losses["sync"].values()).isdisjoint(losses["other seed"].values())
