"""Simulated runs that are killed at random moments: what their run files hold afterwards."""

import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

from fuzzing.simulated import small_job
from hybridmpi import read_run
from hybridmpi.checkpoints.file import folder_of, newest, read_state
from hybridmpi.engines import recorder
from hybridmpi.engines.simulate import simulate as engine
from hybridmpi.errors import UserError
from hybridmpi.runlog.run import Run
from hybridmpi.runlog.writer import RunWriter

_CHECKPOINT = {"every_steps": 5, "keep": 2}
_LATER = 90  # gradients of a run that has gone on


def kill_runs(count: int, seed: int, folder: Path) -> list[str]:
    """Kill runs with SIGKILL while they make, write, replace and close their run files.

    Half of them are new, half go on from a checkpoint. They flush at every event, and tell how much
    they have flushed.

    Returns:
        What is wrong with run files that cannot be read, or hold less than had been flushed.
    """
    rng, problems, seen = Random(seed), [], Counter[str]()
    scratch = folder / "kills"
    shutil.rmtree(scratch, ignore_errors=True)
    whole = scratch / "whole" / "run.h5"
    _in_child(partial(_simulate, whole, None), None)
    began_s = time.monotonic()
    _in_child(partial(_simulate, scratch / "timed" / "run.h5", None), None)
    duration_s = time.monotonic() - began_s
    for number in range(count):
        path = scratch / "run" / "run.h5"
        shutil.rmtree(path.parent, ignore_errors=True)
        is_resumed = rng.random() < 0.5
        if is_resumed:
            shutil.copytree(whole.parent, path.parent)
        state = newest(folder_of(path)) if is_resumed else None
        simulate = partial(_simulate, path, state)
        flushed = _in_child(simulate, rng.uniform(0, 1.1 * duration_s))
        held, problem = _look(path, flushed, is_resumed=is_resumed)
        seen[held] += 1
        if problem:
            problems.append(f"killed run {number}: {problem}")
            shutil.copytree(path.parent, folder / f"kill-{seed}-{number}", dirs_exist_ok=True)
    print(", ".join(f"{number} {held}" for held, number in seen.most_common()))
    shutil.rmtree(scratch)
    return problems


def _in_child(run: Callable[[int], None], kill_after_s: float | None) -> int:
    """Run in a process of its own, killed after a while; return how many pushes it had flushed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            run(writer)
        os._exit(0)
    os.close(writer)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(pid, signal.SIGKILL)
    told = b""
    while piece := os.read(reader, 1 << 16):
        told += piece
    os.close(reader)
    os.waitpid(pid, 0)
    return int(told.split(b"\n")[-2]) if b"\n" in told else 0


def _simulate(path: Path, checkpoint: Path | None, told: int) -> None:
    """Run a simulation without learning, and write to a pipe how many pushes are flushed."""
    vars(recorder)["_FLUSH_EVERY_S"] = vars(engine)["_HOUSEKEEPING_S"] = 0.0
    flush = RunWriter.flush

    def flush_and_tell(writer: RunWriter) -> None:
        flush(writer)
        if writer._file:
            os.write(told, b"%d\n" % writer.num_rows()["gradients"])

    setattr(RunWriter, "flush", flush_and_tell)  # noqa: B010 - mypy wants no assignment
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    limit = {} if checkpoint is None else {"run": {"gradient_limit": _LATER}}
    job = small_job(learning=False, checkpoint=_CHECKPOINT, **limit)
    state = None if checkpoint is None else read_state(checkpoint)
    engine.Simulation(job).run(path, resume=state)


def _look(path: Path, flushed: int, *, is_resumed: bool) -> tuple[str, str]:
    """Say what became of a run file, and what is wrong with it; empty if nothing is."""
    if not path.exists():
        problem = "the old run file is gone" if is_resumed else ""
        return "not there yet", problem or (f"{flushed} had been flushed" if flushed else "")
    try:
        run = read_run(path)
    except UserError as error:
        return "cannot be read", str(error)
    return run.status, _lost(run, flushed)


def _lost(run: Run, flushed: int) -> str:
    """Say what a run file lacks of what had been flushed."""
    if len(run.gradients) < flushed:
        return f"{flushed} pushes had been flushed, but {len(run.gradients)} are there"
    if run.steps.version.tolist() != list(range(1, len(run.steps) + 1)):
        return "steps have gaps"
    if run.status == "complete" and run.final is None:
        return "it is complete, but has no final parameters"
    return ""
