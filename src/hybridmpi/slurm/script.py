"""The text of a batch script."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hybridmpi.errors import UserError
from hybridmpi.launcher import check_ranks

Launcher = Literal["srun", "mpirun"]

# Slurm may send the signal a minute early; ranks then have 30 s (supervise.STOP_LIMIT_S) to stop.
SIGNAL_S = 90
_SHORTEST_S = 300
_NUMBERS = r"\d+(-\d+(:\d+)?)?"
_ARRAY = re.compile(rf"{_NUMBERS}(,{_NUMBERS})*(%[1-9]\d*)?")
_OPTION = re.compile(r"[a-z][a-z-]*(=.+)?")
# What the script itself says, and why a user must not say otherwise.
_OWN = {
    "nodes": "give --nodes",
    "ntasks": "give --ranks",
    "time": "give --time",
    "array": "give --array",
    "signal": "it ends the run before the time limit",
    "requeue": "it is there already",
    "no-requeue": "the run goes on after a requeue",
    "open-mode": "the log must not begin anew",
}

_WHY = f"""\
# {SIGNAL_S} s before the time limit the run ends in order, with a last checkpoint, and the job goes
# back into the queue. Started again, then or after a lost node, it goes on from its newest
# checkpoint: the job file needs [checkpoint], for instance every_s = 60.
"""
_USAGE = """\
# sbatch [OPTIONS OF SBATCH] THIS_FILE JOB.toml [--set FIELD=VALUE]...
#
# Options of sbatch replace those below, for instance -N 4 -n 104 --ntasks-per-node=26. hybridmpi is
# looked for as where sbatch is called.
"""
_USAGE_OF_SWEEP = """\
# A run for each number of the job array: with that seed; or, where a folder takes the place of
# JOB.toml, of the job in it that has the number (hybridmpi compare --write-jobs).
"""
_CHOICE = """\
if [ -d "$1" ]; then
    set -- "$1/$SLURM_ARRAY_TASK_ID.toml" "${@:2}"
else
    set -- "$@" --set run.seed="$SLURM_ARRAY_TASK_ID"
fi
"""


@dataclass(frozen=True)
class Request:
    """What a job asks of Slurm.

    Attributes:
        nodes: Number of nodes.
        ranks: The server and its workers, over all nodes.
        time: The time limit, as Slurm writes it.
        array: Numbers of runs, or their seeds, as Slurm writes them: 0-9, 1,3,5 or 0-99%4.
        options: Further options of sbatch, without dashes: "partition=gpu".
    """

    nodes: int
    ranks: int
    time: str
    array: str | None = None
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_ranks(self.ranks)
        if not 1 <= self.nodes <= self.ranks:
            raise UserError(
                f"the number of nodes is {self.nodes}, but must be between 1 and the number of "
                f"ranks ({self.ranks}); each node needs a rank"
            )
        if time_limit_s(self.time) < _SHORTEST_S:
            raise UserError(
                f"the time limit '{self.time}' is {time_limit_s(self.time)} s, but must be at "
                f"least {_SHORTEST_S} s, since the run is stopped some minutes before it; an hour "
                "is '1:00:00', or '60'"
            )
        if self.array is not None and not _ARRAY.fullmatch(self.array):
            raise UserError(
                f"the array is '{self.array}', but must be numbers and ranges, such as 0-9 or "
                "1,3,5; 0-99%4 runs four at a time"
            )
        for option in self.options:
            _check_option(option)


def batch_script(
    request: Request,
    *,
    name: str = "hybridmpi",
    program: Sequence[str] = ("hybridmpi",),
    launcher: Launcher = "srun",
    train_args: Sequence[str] | None = None,
) -> str:
    """Return a script for sbatch.

    Args:
        request: What it asks for.
        name: The job's name.
        program: How hybridmpi is called on the nodes.
        launcher: What starts the ranks.
        train_args: The job file, or for an array a folder of them, and the options of `hybridmpi
            train`; if not given, the script takes them as its own arguments.
    """
    usage = [
        *([_USAGE] if train_args is None else []),
        *([_USAGE_OF_SWEEP] if request.array else []),
    ]
    head = "".join(usage) + ("#\n" if train_args is None else "")
    directives = "".join(f"#SBATCH --{option}\n" for option in _options(request, name))
    given = '"$@"' if train_args is None else shlex.join(train_args)
    if request.array:
        own = "" if train_args is None else f"set -- {given}\n"
        choice, given = f"{own}{_CHOICE}", '"$@"'
    else:
        choice = ""
    command = [
        *("exec", shlex.join(program), 'launch -n "$SLURM_NTASKS"'),
        *(["--srun"] if launcher == "srun" else []),
        *("--requeue", given),
    ]
    return f"#!/bin/bash\n{head}{_WHY}{directives}\n{choice}{' '.join(command)}\n"


def time_limit_s(text: str) -> int:
    """Return the seconds of a time limit as Slurm writes it.

    Raises:
        UserError: If it is none.
    """
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    units = [3600, 60, 1] if dash else {1: [60], 2: [60, 1]}.get(len(parts), [3600, 60, 1])
    words = [*([days] if dash else []), *parts]
    if len(parts) > len(units) or not all(re.fullmatch(r"[0-9]{1,6}", word) for word in words):
        raise UserError(
            f"the time limit is '{text}', but must be MINUTES, MINUTES:SECONDS, "
            "HOURS:MINUTES:SECONDS, DAYS-HOURS, DAYS-HOURS:MINUTES or DAYS-HOURS:MINUTES:SECONDS"
        )
    seconds = sum(int(part) * unit for part, unit in zip(parts, units, strict=False))
    return seconds + (int(days) * 86_400 if dash else 0)


def _options(request: Request, name: str) -> list[str]:
    return [
        f"job-name={shlex.quote(name)}",
        f"nodes={request.nodes}",
        f"ntasks={request.ranks}",
        *_even_nodes(request),
        f"time={request.time}",
        *([f"array={request.array}"] if request.array else []),
        f"signal=B:USR1@{SIGNAL_S}",
        "requeue",
        "open-mode=append",
        f"output=%x-{'%A_%a' if request.array else '%j'}.log",
        *(_quoted(option) for option in request.options),
    ]


def _even_nodes(request: Request) -> list[str]:
    """Return what spreads ranks evenly; else Slurm fills a node, and the last may get one rank.

    With overcommit it does so by itself, and refuses to be told.
    """
    if "overcommit" in request.options:
        return []
    return [f"ntasks-per-node={-(-request.ranks // request.nodes)}"]


def _check_option(option: str) -> None:
    name = option.partition("=")[0]
    if not _OPTION.fullmatch(option) or not option.isprintable():
        raise UserError(
            f"--sbatch {option}: must be an option of sbatch in its long form, without dashes, "
            "e.g. --sbatch partition=gpu"
        )
    if name in _OWN:
        raise UserError(f"--sbatch {option}: {name} cannot be given here; {_OWN[name]}")


def _quoted(option: str) -> str:
    name, equals, value = option.partition("=")
    return f"{name}{equals}{shlex.quote(value)}" if equals else name
