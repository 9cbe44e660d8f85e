"""A campaign: inputs of one kind, read in a process of their own, which may well die of them."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from random import Random
from threading import Thread
from typing import Any, NoReturn

from fuzzing.case import LIMIT_S, READ, REFUSED, Case, Kind, Watch, attempt

_START_S = 180.0  # imports, and making what inputs are made of
_MOST_ADDED_BYTES = 3 << 30  # of address space, beyond what a worker has when it begins


@dataclass
class Result:
    """What a campaign has found.

    Attributes:
        counts: Inputs by what became of them.
        findings: By input: its number, what was done to it, and what happened.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)


def run_campaign(
    name: str, seed: int, first: int, count: int, folder: Path, tell: Callable[[str], None]
) -> Result:
    """Read `count` inputs; a worker that dies or hangs is replaced by one that goes on behind it.

    Args:
        name: Of the kind.
        seed: With it and its number an input is made again.
        first: Number of the first input.
        count: How many.
        folder: Where findings are kept, as NAME-SEED-NUMBER.
        tell: Told each finding.
    """
    result, number, end = Result(), first, first + count
    while number < end:
        number = _read_until_it_dies(result, name, seed, number, end, folder, tell)
    return result


def _read_until_it_dies(
    result: Result,
    name: str,
    seed: int,
    first: int,
    end: int,
    folder: Path,
    tell: Callable[[str], None],
) -> int:
    """Let a worker read inputs; return the number of the next one."""
    scratch = folder / f"{name}-scratch"
    command = [sys.executable, sys.argv[0], "--inside", name, str(seed), str(first), str(end)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    number, said = first, {"what": "before the first input"}
    with subprocess.Popen(
        [*command, str(scratch)], stdout=subprocess.PIPE, text=True, env=environment
    ) as worker:
        lines: Queue[str] = Queue()
        Thread(target=_listen, args=(worker, lines), daemon=True).start()
        limit_s, is_reading = _START_S, False
        try:
            while line := lines.get(timeout=limit_s):
                said, limit_s = json.loads(line), 2 * LIMIT_S
                is_reading = "outcome" not in said
                if not is_reading:
                    number = said["number"] + 1
                    _count(result, said, tell)
        except Empty:
            said |= {"outcome": "hang", "detail": f"longer than {limit_s:.0f} s"}
            worker.kill()
    if number < end:
        ended = {"outcome": "crash", "detail": f"exit code {worker.returncode}", "number": number}
        keep(scratch, name, seed, number)
        _count(result, ended | said, tell)
        if not is_reading:
            raise RuntimeError(f"the worker for {name} ended outside of an input: {said}")
    return number + 1 if is_reading else number


def _listen(worker: "subprocess.Popen[str]", lines: "Queue[str]") -> None:
    """Put down each line that a worker says, and an empty one at its end."""
    assert worker.stdout is not None
    for line in worker.stdout:
        lines.put(line)
    lines.put("")


def _count(result: Result, said: dict[str, Any], tell: Callable[[str], None]) -> None:
    outcome = said["outcome"]
    result.counts[outcome] += 1
    if outcome not in (READ, REFUSED):
        result.findings.append(said)
        tell(f"{said['number']}: {outcome}: {said['what'][:200]}\n{said['detail']}")


def keep(scratch: Path, name: str, seed: int, number: int) -> None:
    """Keep an input that something was found with."""
    kept = scratch.parent / f"{name}-{seed}-{number}"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(scratch / "input", kept)


def read_inputs(kind: Kind, seed: int, name: str, first: int, end: int, scratch: Path) -> NoReturn:
    """Read inputs in this process, and say on stdout what becomes of each."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed while an input is read is of no interest here
    folder = scratch / "input"
    os.chdir(scratch)
    watch = Watch(scratch / "originals" / "trace")
    _limit_memory()

    def say(**what: object) -> None:
        print(json.dumps(what), file=out, flush=True)

    for number in range(first, end):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        case: Case = kind.case(Random(f"{seed} {name} {number}"), folder)
        say(number=number, what=case.what)
        outcome, detail = attempt(case, watch, kind.most_mib)
        if outcome not in (READ, REFUSED):
            keep(scratch, name, seed, number)
        say(number=number, what=case.what, outcome=outcome, detail=detail)
    out.flush()
    os._exit(0)  # without what libraries that have read such inputs do at their end


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MOST_ADDED_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
