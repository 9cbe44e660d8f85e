"""What a checkpoint costs the server: its pauses, beside one copy of the parameters.

The server copies parameters and optimizer state itself; a thread does the rest. A loop that takes a
push every 50 microseconds is watched until the file is on the disk: its longest pause tells whether
that thread holds it up. How long a checkpoint takes as a whole is told for the first one, which
writes the snapshots that wait for their evaluation, and for those that follow.

    python benchmarks/checkpoints.py --parameters 10000000 --snapshots 5
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch

from hybridmpi.checkpoints.behind import WriterBehind
from hybridmpi.checkpoints.file import State
from hybridmpi.checkpoints.keeper import Keeper

_PUSH_EVERY_S = 50e-6
_COPIES = 20
_ALONE_S = 0.5


@click.command(context_settings={"show_default": True})
@click.option("--parameters", type=int, default=10_000_000, help="Elements of a vector.")
@click.option("--snapshots", type=int, default=5, help="Those that wait for their evaluation.")
@click.option("--repeats", type=int, default=7, help="Checkpoints.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where they go; a new one if not.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line.")
def main(parameters: int, snapshots: int, repeats: int, folder: Path | None, as_json: bool) -> None:
    """Compare the longest pause of a server that writes checkpoints with one copy."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        result = measure(parameters, snapshots, repeats, Path(made))
    print(json.dumps(result) if as_json else "\n".join(f"{k:>24} {v}" for k, v in result.items()))


def measure(size: int, num_snapshots: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Write checkpoints of an optimizer with momentum, and watch the loop meanwhile."""
    vector = torch.rand(size)
    taken = {f"snapshot.{version}": torch.rand(size) for version in range(num_snapshots)}
    copy_s = median(timed(vector.clone) for _ in range(_COPIES))
    behind = WriterBehind(Keeper(folder, every_s=None, every_steps=1, keep=2))
    end_s = time.perf_counter() + _ALONE_S
    alone_s = longest_pause_s(lambda: time.perf_counter() < end_s)
    own_s, pauses_s, written_s = [], [], []
    for repeat in range(repeats):
        began_s = time.perf_counter()
        copied = {"parameters": vector.clone(), "momentum": vector.clone()}
        behind.write(num_snapshots + repeat, State(copied | taken, {"engine": "benchmark"}))
        own_s.append(time.perf_counter() - began_s)
        pauses_s.append(longest_pause_s(lambda: not behind.is_due(10**9)))
        written_s.append(time.perf_counter() - began_s)
        behind.finish()
    return {
        "benchmark": "checkpoints",
        "parameters": size,
        "snapshots": num_snapshots,
        "one_copy_ms": milliseconds(copy_s),
        "own_copies_ms": milliseconds(median(own_s)),
        "longest_pause_ms": milliseconds(max(pauses_s[1:])),
        "pause_without_ms": milliseconds(alone_s),
        "pause_in_copies": round(max(pauses_s[1:]) / copy_s, 2),
        "first_written_s": round(written_s[0], 3),
        "others_written_s": round(median(written_s[1:]), 3),
    }


def longest_pause_s(goes_on: Callable[[], bool]) -> float:
    """Take pushes while something goes on, and return the longest time between two."""
    row, other = torch.rand(1000), torch.rand(1000)
    longest_s, last_s = 0.0, time.perf_counter()
    while goes_on():
        row.add_(other)
        now_s = time.perf_counter()
        longest_s, last_s = max(longest_s, now_s - last_s), now_s
        while time.perf_counter() - now_s < _PUSH_EVERY_S:
            pass
    return max(0.0, longest_s - _PUSH_EVERY_S)


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    began_s = time.perf_counter()
    action()
    return time.perf_counter() - began_s


def milliseconds(seconds: float) -> float:
    """Return milliseconds, rounded."""
    return round(1e3 * seconds, 2)


if __name__ == "__main__":
    main()
