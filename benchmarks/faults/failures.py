"""Runs that are made to fail: a function of the campaign's seed and the run's number."""

import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from faults import failing
from faults.launched import FaultError, Launched, launched
from faults.plans import TINY
from hybridmpi import read_run
from hybridmpi.launcher import matching_mpirun
from hybridmpi.runlog.reading.superblock import is_closed

RANKS = (2, 3, 4, 5, 6, 8, 13, 26)
_WEIGHTS = (4, 4, 6, 6, 3, 2, 1, 1)  # starting many takes long
TRANSPORTS = ("shared", "messages")
PRESETS = ("sync", "async", "hybrid")
TRAINING_S = 4.0
LIMIT_S = 30.0  # from the failure to the end of the last process; most take a few seconds
ENDS = (
    *("os._exit 3", "os._exit 0", "os._exit 1", "os._exit 255", "sys.exit 3", "sys.exit 0"),
    *("_exit 3", f"signal {signal.SIGKILL:d}", f"signal {signal.SIGSEGV:d}"),
)


class Way(NamedTuple):
    """One way to fail.

    Attributes:
        armed: What `failing` is to do.
        who: On which rank: the server, or any worker.
        ends: In which manners.
        words: That the error holds.
        settings: Fields of the job.
    """

    armed: str
    who: str
    ends: tuple[str, ...] = ("raise",)
    words: str = "planned failure"
    settings: Mapping[str, Any] = {}


WAYS = {
    "server, starting": Way("starting", "server", ("raise", "sys.exit 3"), ""),
    "server, training": Way("stepping", "server", ("raise", "sys.exit 3"), "the server failed"),
    "server, evaluating": Way("evaluating", "server", ("raise", "sys.exit 3"), "the server failed"),
    "server, writing": Way("writing", "server", words="it holds everything up to"),
    "server, checkpointing": Way(
        "checkpointing", "server", words="No space left", settings={"checkpoint.every_steps": 5}
    ),
    "server, exits": Way("stepping", "server", ENDS, ""),
    "diverges": Way(
        "nothing", "server", words="NaN or infinity", settings={"optimizer.learning_rate": 1e38}
    ),
    "worker, raises": Way("computing", "worker"),
    "worker, exits": Way("computing", "worker", ENDS, "is lost"),
    "worker, exits while starting": Way("building", "worker", ENDS, ""),
    "too few workers": Way("computing", "worker", ENDS, "is lost", {"faults.min_workers": "all"}),
    "mistake on a rank": Way("building", "worker", ("raise",), "planned failure"),
    "mistake in the job": Way(
        "nothing", "server", words="did you mean", settings={"run.sed": 1}
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """How one run is made to fail.

    Attributes:
        number: Of the run, from 0.
        way: One of `WAYS`.
        ranks: Of the run.
        rank: Which one fails.
        call: At which batch, step, or checkpoint.
        how: In which manner.
        settings: Fields of its job.
    """

    number: int
    way: str
    ranks: int
    rank: int
    call: int
    how: str
    settings: Mapping[str, Any]
    kind: str = "failure"
    is_real: bool = False
    is_replayed: bool = False

    @classmethod
    def plan(cls, seed: int, number: int) -> "Failure":
        """Draw how a run fails; ways, ranks and transports go through all their pairs."""
        draw = random.Random(f"{seed} failure {number}")
        names = list(WAYS)
        random.Random(f"{seed} failure {number // len(names)}").shuffle(names)
        name = names[number % len(names)]
        way, ranks = WAYS[name], draw.choices(RANKS, _WEIGHTS)[0]
        settings = {
            "run.seed": draw.randrange(1000),
            "run.time_limit_s": TRAINING_S + ranks / 4,
            "run.transport": TRANSPORTS[(number // len(names) + number) % 2],
            "method.preset": draw.choice(PRESETS),
            **TINY,
            "model.name": "faults.failing:linear",
            **way.settings,
        }
        if settings["method.preset"] == "hybrid":
            settings["method.threshold"] = "{schedule='step', initial=1, increment=1, every=300}"
        if "faults.min_workers" in way.settings:
            settings["faults.min_workers"] = ranks - 1
        rank = 0 if way.who == "server" else draw.randrange(1, ranks)
        call, how = draw.randrange(2, 10), draw.choice(way.ends)
        return cls(number, name, ranks, rank, call, how, settings)

    def environment(self) -> dict[str, str]:
        """Return the variables that arm the failure."""
        return {
            failing.WAY: WAYS[self.way].armed,
            failing.RANK: str(self.rank),
            failing.CALL: str(self.call),
            failing.HOW: self.how,
        }

    def options(self) -> list[str]:
        """Return the settings as options of `launch`."""
        return [f"--set={name}={value}" for name, value in self.settings.items()]

    def __str__(self) -> str:
        """Describe it in a line."""
        place = f"{self.ranks} ranks, {self.settings['run.transport']}"
        return f"failure {self.number}: {self.way}, rank {self.rank}, {self.how}, {place}"

    def outcome(self, *, survives_losses: bool) -> "Outcome":
        """Return how the run is to end."""
        words = WAYS[self.way].words
        if self.way.startswith("mistake"):
            return Outcome(2, {"not begun"}, words)
        if self.way in ("server, starting", "worker, exits while starting"):
            return Outcome(1, {"not begun"}, words)
        if self.way == "server, exits" and not self.how.startswith("sys.exit"):
            return Outcome(1, {"running"}, words)
        if self.way == "worker, exits" and survives_losses and self.ranks > 2:
            return Outcome(0, {"complete"}, words)
        if self.way in ("worker, exits", "too few workers") and not survives_losses:
            return Outcome(1, {"failed", "running"}, "")  # mpirun may end the server first
        return Outcome(1, {"failed"}, words)


class Outcome(NamedTuple):
    """How a run is to end: with which exit code and status, and what it is to say."""

    exit_code: int
    statuses: set[str]
    words: str


def fail(trial: Any) -> None:
    """Make a run fail: it says so once, closes its file, and leaves nothing behind."""
    plan: Failure = trial.plan
    outcome = plan.outcome(survives_losses=matching_mpirun().survives_losses)
    folder = trial.run_file.parent
    arguments = ["job.toml", *plan.options()]
    limit_s = 240.0 + 20 * plan.ranks
    with launched(
        folder, "launch", *arguments, ranks=plan.ranks, added=plan.environment(), limit_s=limit_s
    ) as running:
        failed_s = _wait_for_failure(running, folder, trial.segments)
        code = running.wait()
        ended_s = time.monotonic()
    said, struck = running.said(), _struck_s(folder)
    if outcome.exit_code != 0:
        if plan.way.startswith("mistake"):  # it is told once all ranks have looked for theirs
            struck = None
        took_s = ended_s - (struck if struck is not None else failed_s or ended_s)
        trial.result.times_s["failure to end of the last process"] = took_s
        trial.expect(took_s <= LIMIT_S, f"it took {took_s:.0f} s to end")
    is_struck = struck is not None or WAYS[plan.way].armed in ("nothing", "building")
    trial.expect(is_struck, "the failure did not strike")
    trial.expect(code == outcome.exit_code, f"exit code is {code}, not {outcome.exit_code}")
    errors = sum(line.startswith("Error: ") for line in said.splitlines())
    trial.expect(errors == (outcome.exit_code != 0), f"{errors} errors were told")
    trial.expect(outcome.words in said, f"it does not say '{outcome.words}'")
    status = _status(trial.run_file)
    trial.expect(status in outcome.statuses, f"the run file is {status}")
    trial.result.notes.append(f"exit code {code}, {status}")


def _wait_for_failure(running: Launched, folder: Path, segments: set[Path]) -> float | None:
    """Return when the error was told, once it was; the end without one is None."""
    while running.process.poll() is None:
        if any(line.startswith("Error: ") for line in running.said().splitlines()):
            return time.monotonic()
        if _struck_s(folder) is None:
            segments |= running.shared_memory()
        time.sleep(0.05)
        if running.is_late():
            raise FaultError("it did not end in time")
    return None


def _struck_s(folder: Path) -> float | None:
    path = folder / failing.STRUCK
    text = path.read_text() if path.exists() else ""
    return float(text) if text else None


def _status(run_file: Path) -> str:
    if not run_file.exists():
        return "not begun"
    return str(read_run(run_file).status) if is_closed(run_file) else "running"
