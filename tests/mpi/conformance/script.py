"""A script: what happens, second by second, and what the server is to answer.

One line says what happens in one second, and behind an arrow the instructions of the server, worked
out by hand. What happens:

    start             all workers are released (second 0)
    push W            a push of worker W is taken; it was sent in this second, or by `send`
    push W queued     the same, but it had to wait, since the server was busy
    send W            a push of worker W leaves, and is taken later
    lose W, join W    a worker vanishes; a worker comes, or comes back
    limit             the time limit passes
    ... + signal      a signal to stop comes in the same second

Pushes are written as worker.batch, and in a step as worker/staleness (or worker where it is 0).
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hybridmpi.core.messages import Accumulate, Discard, Instruction, Release, Step, Stop

_LINE = re.compile(
    r"(?P<kind>start|push|send|lose|join|limit)( (?P<worker>\d+))?(?P<queued> queued)?"
    r"(?P<signal> \+ signal)? ->(?P<answer>.*)"
)


@dataclass(frozen=True)
class Happening:
    """One line of a script."""

    time_s: float
    kind: str
    worker: int
    is_queued: bool
    has_signal: bool
    answer: str

    @property
    def releases(self) -> int:
        """How many workers are released."""
        release = re.search(r"release ([\d ]+)", self.answer)
        return len(release[1].split()) if release else 0


@dataclass(frozen=True)
class Departure:
    """A push on its way, in seconds; infinity for one that never arrives."""

    sent_s: float
    reached_s: float


class Script:
    """What happens in a run, in the order of time."""

    def __init__(self, text: str) -> None:
        lines = [" ".join(line.split()) for line in text.strip().splitlines()]
        self.happenings = [_happening(number, line) for number, line in enumerate(lines)]

    @property
    def answers(self) -> list[str]:
        """What the server is to answer, second by second."""
        return [happening.answer for happening in self.happenings]

    @cached_property
    def changes(self) -> list[Happening]:
        """Who is lost and who joins."""
        return [happening for happening in self.happenings if happening.kind in ("lose", "join")]

    @property
    def absent(self) -> set[int]:
        """Workers that are not there at the start."""
        first = {change.worker: change.kind for change in reversed(self.changes)}
        return {worker for worker, kind in first.items() if kind == "join"}

    @property
    def signal_s(self) -> float:
        """When the signal comes."""
        return min((h.time_s for h in self.happenings if h.has_signal), default=math.inf)

    def departures(self, worker: int) -> list[Departure]:
        """Return the pushes of a worker, in their order."""
        departures: list[Departure] = []
        sent_s = None
        for happening in self.happenings:
            if happening.worker != worker:
                continue
            if happening.kind == "send":
                sent_s = happening.time_s
            elif happening.kind == "push":
                reached_s = happening.time_s - 0.5 * happening.is_queued
                departures.append(Departure(reached_s if sent_s is None else sent_s, reached_s))
                sent_s = None
            elif happening.kind == "lose" and sent_s is not None:
                departures.append(Departure(sent_s, math.inf))
                sent_s = None
        return departures


def in_words(told: Sequence[tuple[float, Instruction]], seconds: int) -> list[str]:
    """Write what a server said, second by second, as scripts do."""
    answers: list[list[str]] = [[] for _ in range(seconds)]
    for time_s, instruction in told:
        answers[int(time_s)].append(_words(instruction))
    return ["; ".join(answer) for answer in answers]


def _happening(number: int, line: str) -> Happening:
    match = _LINE.fullmatch(line)
    assert match, f"no line of a script: {line}"
    return Happening(
        time_s=float(number),
        kind=match["kind"],
        worker=int(match["worker"] or 0),
        is_queued=bool(match["queued"]),
        has_signal=bool(match["signal"]),
        answer=match["answer"].strip(),
    )


def _words(instruction: Instruction) -> str:
    match instruction:
        case Accumulate(push, weight):
            factor = "" if weight == 1 else f" x {weight:.4f}"
            return f"add {push.worker}.{push.batch}{factor}"
        case Discard(push, reason):
            return f"discard {push.worker}.{push.batch} {reason}"
        case Step():
            pushes = zip(instruction.pushes, instruction.staleness, strict=True)
            of = " ".join(
                f"{push.worker}/{late}" if late else str(push.worker) for push, late in pushes
            )
            return f"step {instruction.version} (K={instruction.threshold}): {of}"
        case Release():
            return f"{'cancel' if instruction.cancel else 'release'} {_list(instruction.workers)}"
        case Stop(workers):
            return f"stop {_list(workers)}"


def _list(workers: Sequence[int]) -> str:
    return " ".join(str(worker) for worker in workers)
