"""The kinds of disturbance, and what must come of each."""

import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from faults.checks import (
    account,
    account_of_stopped,
    begins_as,
    loss,
    newest_checkpoint,
    nothing_lost,
    recovery,
    rows_of,
)
from faults.failures import fail
from faults.launched import FaultError, launched, replay, temporary
from faults.plans import NEVER_S
from hybridmpi import read_run
from hybridmpi.checkpoints.file import State, folder_of
from hybridmpi.runlog.run import Run

GO_ON_S = 1.0  # of training after a run has gone on
STOP_LIMIT_S = 30.0
_LOOK_LIMIT_S = 2.0


@dataclass
class Result:
    """What was found out from one run.

    Attributes:
        faults: What it did wrong, in words.
        times_s: Seconds that something took, by what.
        notes: What else is worth counting.
    """

    faults: list[str] = field(default_factory=list)
    times_s: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Hit:
    """A launch that was disturbed.

    Attributes:
        at_s: When, in seconds since its training began, as seen from outside.
        exit_code: With which it ended.
    """

    at_s: float
    exit_code: int


class Trial:
    """One run that is disturbed as planned, in a folder of its own.

    Attributes:
        plan: What is done to it: a `Plan`, or a `Failure`.
        segments: Of shared memory that it has been seen to use.
    """

    def __init__(self, plan: Any, folder: Path) -> None:
        self.plan = plan
        self.result = Result()
        self.run_file = folder / "run.h5"
        self.checkpoints = folder_of(self.run_file)
        self._folder = folder
        self._launches = 0
        self.segments: set[Path] = set()
        (folder / "job.toml").write_text('run = { output = "run.h5" }\n')

    def expect(self, is_so: bool, otherwise: str) -> None:
        """Note a fault unless something is so."""
        if not is_so:
            self.result.faults.append(otherwise)

    def check(self, faults: Iterable[str]) -> None:
        """Note faults."""
        self.result.faults += faults

    def hit(self, moment_s: float, state: State | None = None) -> Hit:
        """Begin the run, or go on, send the signal at its moment, and wait for the end."""
        plan = self.plan
        options = ["job.toml", *plan.options()] if state is None else self._resume(NEVER_S)
        with launched(self._folder, self._next_name(), *options) as running:
            began_s = running.wait_for_training()
            self.segments |= running.shared_memory()
            target = running.find(plan.target)
            time.sleep(max(0.0, began_s + moment_s - time.monotonic()))
            if plan.lag_s is not None:
                self._wait_for_writing(plan.lag_s)
            sent_s = time.monotonic()
            try:
                target.send_signal(plan.signal)
            except psutil.NoSuchProcess:
                raise FaultError(f"{plan.target} had ended before its moment") from None
            code = running.wait()
            self.result.times_s["signal to end of the job"] = time.monotonic() - sent_s
        return Hit(sent_s - began_s, code)

    def finish(self, state: State) -> Run:
        """Go on from the newest checkpoint to an end, and return the whole run."""
        limit_s = state.facts["time_s"] + GO_ON_S
        with launched(self._folder, self._next_name(), *self._resume(limit_s)) as running:
            running.wait_for_training()
            self.segments |= running.shared_memory()
            code = running.wait()
        self.expect(code == 0, f"the resumed run ended with exit code {code}")
        run, version = read_run(self.run_file), state.facts["core"]["version"]
        self.check(account(run, "complete"))
        resumed_at = run.attributes.get("resumed_at_version")
        self.expect(resumed_at == version, f"it went on from {resumed_at} instead of {version}")
        self.expect(len(run.gradients) > rows_of(state), "no gradient came after it went on")
        self.replay()
        return run

    def replay(self) -> None:
        """Replay the run, if that is planned."""
        if self.plan.is_replayed:
            code = replay(self._folder, self.run_file)
            self.expect(code == 0, f"replay ended with exit code {code}")
            self.result.notes.append("replayed")

    def note_half_written(self) -> None:
        """Note if a killed server has left a checkpoint half written, and take that away."""
        for part in self._half_written():
            part.unlink()
            self.result.notes.append("killed in a checkpoint")

    def check_left_behind(self) -> None:
        """Note segments of shared memory, and files of MPI's sessions, that are still there."""
        files = [path for path in temporary(self._folder).rglob("*") if not path.is_dir()]
        left = [*files, *(path for path in self.segments if path.exists())]
        self.expect(not left, f"left behind: {', '.join(map(str, left))}")

    def _next_name(self) -> str:
        self._launches += 1
        return f"launch-{self._launches}"

    def _resume(self, limit_s: float) -> list[str]:
        return [f"--resume={self.checkpoints}", f"--set=run.time_limit_s={limit_s}"]

    def _wait_for_writing(self, lag_s: float) -> None:
        """Wait until a checkpoint has been in writing for a while."""
        deadline_s = time.monotonic() + _LOOK_LIMIT_S
        while not self._half_written() and time.monotonic() < deadline_s:
            time.sleep(0)
        time.sleep(lag_s)

    def _half_written(self) -> list[Path]:
        return list(self.checkpoints.glob(".*.part"))


def lose_worker(trial: Trial) -> None:
    """Kill a worker: the run goes on, and ends well."""
    hit = trial.hit(trial.plan.moments_s[0])
    trial.expect(hit.exit_code == 0, f"exit code is {hit.exit_code}")
    run = read_run(trial.run_file)
    trial.check(account(run, "complete"))
    trial.check(loss(run, int(trial.plan.target), hit.at_s))
    trial.result.times_s |= recovery(run, hit.at_s)
    trial.replay()


def kill_server(trial: Trial) -> None:
    """Kill the server, the resumed one perhaps again: the run goes on from the last checkpoint."""
    state: State | None = None
    before: Run | None = None
    for moment_s in trial.plan.moments_s:
        hit = trial.hit(moment_s, state)
        trial.expect(hit.exit_code != 0, "exit code is 0")
        trial.note_half_written()
        killed = read_run(trial.run_file)
        trial.expect(killed.status == "running", f"status is {killed.status}")
        if before is not None and state is not None:
            trial.check(begins_as(before, rows_of(state), killed))
        before, state = killed, newest_checkpoint(trial.checkpoints)
        trial.check(nothing_lost(killed, state))
        if state is None:
            trial.result.notes.append("killed before any checkpoint")
            return
        lost_s = killed.duration_s - state.facts["time_s"]
        trial.result.times_s["training lost"] = max(0.0, lost_s)  # it ends with its last row
    assert before is not None
    assert state is not None
    trial.check(begins_as(before, rows_of(state), trial.finish(state)))


def stop(trial: Trial) -> None:
    """Send a signal that asks for the end: the run is stopped, loses nothing, and goes on."""
    number, hit = trial.plan.signal, trial.hit(trial.plan.moments_s[0])
    expected = 0 if number == signal.SIGUSR1 else 128 + number
    trial.expect(hit.exit_code == expected, f"exit code is {hit.exit_code} instead of {expected}")
    took_s = trial.result.times_s["signal to end of the job"]
    trial.expect(took_s <= STOP_LIMIT_S, f"it took {took_s:.0f} s to stop")
    stopped, state = read_run(trial.run_file), newest_checkpoint(trial.checkpoints)
    if state is None:
        raise FaultError("there is no last checkpoint")
    trial.check(account_of_stopped(stopped, state))
    trial.check(begins_as(stopped, len(stopped.gradients), trial.finish(state)))


KINDS: dict[str, Callable[[Trial], None]] = {
    "worker": lose_worker,
    "server": kill_server,
    "signal": stop,
    "failure": fail,
}
