"""What is done to a run: a function of the campaign's seed, the kind, and the run's number."""

import random
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from hybridmpi.core.presets import PRESETS

COUNTS = {"worker": 200, "server": 200, "signal": 100, "failure": 100}
RANKS = 5
TRAINING_S = 3.0  # of a run that loses a worker
BROKEN_OFF_S = 2.5  # a run that is killed or stopped is so by then
NEVER_S = 1000.0
LONGEST_LAG_S = 0.01  # most are much shorter: writing a tiny checkpoint takes a few milliseconds

# Every preset goes every way; numbers go through all of these again and again.
WAYS: tuple[dict[str, Any], ...] = (
    {"run.transport": "auto"},
    {"run.transport": "shared"},
    {"run.transport": "messages"},
    {"method.broadcast": "collective"},
)
Cell = tuple[str, dict[str, Any]]
CELLS: tuple[Cell, ...] = tuple(product(PRESETS, WAYS))

TINY = {"data.dataset": "digits", "data.batch_size": 16, "model.name": "faults.tiny:linear"}
REAL = {"data.dataset": "mnist", "data.batch_size": 32, "model.name": "mnist_cnn"}
OPTIMIZERS: tuple[dict[str, Any], ...] = (
    {"optimizer.name": "sgd", "optimizer.learning_rate": 0.01},
    {"optimizer.name": "sgd", "optimizer.learning_rate": 0.01, "optimizer.momentum": 0.9},
    {"optimizer.name": "adam", "optimizer.learning_rate": 0.001},
)
# In seconds, so that a threshold goes through all its values whatever a gradient takes.
GROWING = "{schedule='step', unit='seconds', initial=1, increment=1, every=0.7}"
SHRINKING = "{schedule='step', unit='seconds', initial=4, increment=-1, every=0.7, final=1}"
SIGNALS = (
    (signal.SIGUSR1, "rank"),
    (signal.SIGUSR1, "mpirun"),
    (signal.SIGUSR1, "launch"),
    (signal.SIGTERM, "launch"),
    (signal.SIGINT, "launch"),
)


@dataclass(frozen=True)
class Plan:
    """What is done to one run.

    Attributes:
        kind: worker, server or signal.
        number: Of the run, from 0.
        is_real: Whether it trains a CNN on MNIST, or else a linear model on the digits.
        settings: Fields of its job.
        signal: What is sent.
        target: To whom: launch, mpirun, or a rank's number.
        moments_s: When, in seconds since training began; where there are two, the resumed run is
            hit again.
        lag_s: If given, a moment is put off until so long after a checkpoint has begun to be
            written.
        is_replayed: Whether the run is replayed at the end.
    """

    kind: str
    number: int
    is_real: bool
    settings: Mapping[str, Any]
    signal: signal.Signals
    target: str
    moments_s: tuple[float, ...]
    lag_s: float | None
    is_replayed: bool

    @property
    def preset(self) -> str:
        """The method's preset."""
        return str(self.settings["method.preset"])

    def options(self) -> list[str]:
        """Return the settings as options of `launch`."""
        return [f"--set={name}={value}" for name, value in self.settings.items()]

    def __str__(self) -> str:
        """Describe it in a line."""
        moments = ", ".join(f"{moment:.2f}" for moment in self.moments_s)
        way = self.settings.get("run.transport", "collective")
        model = "mnist_cnn" if self.is_real else "tiny"
        sent = f"{self.signal.name} to {self.target} at {moments} s"
        aim = "" if self.lag_s is None else ", then in a checkpoint"
        return f"{self.kind} {self.number}: {self.preset}, {way}, {model}, {sent}{aim}"


def plan(seed: int, kind: str, number: int, *, real: int, data: Path | None) -> Plan:
    """Draw what is done to a run.

    Args:
        seed: The campaign's.
        kind: worker, server or signal.
        number: Of the run, from 0.
        real: How many of a whole campaign's runs train a CNN on MNIST.
        data: MNIST's folder.
    """
    draw = random.Random(f"{seed} {kind} {number}")
    preset, way = _cell(seed, kind, number)
    sent, target = _signal(kind, draw)
    settings = {
        "run.seed": draw.randrange(1000),
        "run.time_limit_s": TRAINING_S if kind == "worker" else NEVER_S,
        **_method(preset, draw),
        **way,
        **draw.choice(OPTIMIZERS),
        **draw.choice(({}, {"delays.fraction": 0.5, "delays.max_s": 0.02})),
        **_of_kind(kind, draw),
    }
    hits = 2 if kind == "server" and draw.random() < 0.25 else 1
    last_s = TRAINING_S if kind == "worker" else BROKEN_OFF_S
    moments_s = tuple(draw.uniform(0, last_s) for _ in range(hits))
    lag_s = LONGEST_LAG_S * draw.random() ** 3 if kind == "server" and draw.random() < 0.5 else None
    is_replayed = draw.random() < 0.25
    is_real = _is_real(number, COUNTS[kind], real)
    settings |= REAL | {"data.root": data and str(data)} if is_real else TINY
    return Plan(
        kind, number, is_real, settings, sent, target, moments_s, lag_s, is_replayed=is_replayed
    )


def _is_real(number: int, count: int, real: int) -> bool:
    """Say whether a run is one of `real` among `count`: evenly spread, over the cells, too."""
    return (number + number // len(CELLS)) * real % count < real


def _cell(seed: int, kind: str, number: int) -> Cell:
    cells = list(CELLS)
    random.Random(f"{seed} {kind}").shuffle(cells)
    preset, way = cells[number % len(cells)]
    return preset, way


def _signal(kind: str, draw: random.Random) -> tuple[signal.Signals, str]:
    if kind == "server":
        return signal.SIGKILL, "0"
    if kind == "worker":
        return signal.SIGKILL, str(draw.randrange(1, RANKS))
    sent, target = draw.choice(SIGNALS)
    return sent, str(draw.randrange(RANKS)) if target == "rank" else target


def _method(preset: str, draw: random.Random) -> dict[str, Any]:
    settings: dict[str, Any] = {"method.preset": preset}
    if PRESETS[preset].constant:
        value = draw.choice((2, 3))
        settings["method.threshold"] = f"{{schedule='constant', value={value}}}"
    match preset:
        case "hybrid":
            settings["method.threshold"] = GROWING
        case "reverse-hybrid":
            settings["method.threshold"] = SHRINKING
        case "ringmaster":
            settings["method.stale"] = "{rule='discard', limit=3}"
    if preset in ("async", "hybrid", "reverse-hybrid"):
        settings["method.after_push"] = draw.choice(("wait", "continue"))
    return settings


def _of_kind(kind: str, draw: random.Random) -> dict[str, Any]:
    """Return when checkpoints are written, and what becomes of a lost worker's data."""
    match kind:
        case "worker":
            checkpoints = draw.choice(({}, {"checkpoint.every_s": 0.3}))
            return {"faults.lost_shard": draw.choice(("redistribute", "drop")), **checkpoints}
        case "server":  # one is nearly always being written, or about to be
            return {"checkpoint.every_steps": 1, "checkpoint.keep": draw.choice((1, 2, 3))}
    return {"checkpoint.every_s": draw.choice((0.2, NEVER_S))}
