"""Kills and stops runs at random moments, makes them fail, and checks what must hold afterwards.

Three kinds of runs, 5 ranks each, over all presets, transports and both broadcasts, most on a tiny
model and some on a CNN that learns MNIST:

- `worker`: a random worker is killed. The run goes on and ends well, with every gradient accounted
  for.
- `server`: rank 0 is killed, half of the time while it writes a checkpoint. The run file opens, the
  checkpoint loads, and the run goes on from it: nothing before it is lost, and no gradient counts
  twice.
- `signal`: a signal asks launch, mpirun or a rank to stop. Within 30 s the run is closed as
  stopped, with a last checkpoint, and it goes on from there.

And one kind of 2 to 26 ranks, on a tiny model:

- `failure`: a run fails, by an error of the server or of a worker, by the end of a process, or by a
  mistake of the user's. The exit code is as documented, the error is told once, the run file is
  closed as failed, and all processes end within seconds.

No process and no shared memory may be left, and a quarter of the runs is replayed bit for bit. What
is done to run number i is a function of the seed, the kind and i. Results go to OUT/KIND.jsonl;
runs that are there are not made again, so that the campaign can be stopped and started. A run's
folder is kept if it did anything wrong.

    python benchmarks/chaos.py all --data DATA --out chaos       # some hours on 2 cores
    python benchmarks/chaos.py worker --count 20 --real 0 --out chaos
    python benchmarks/chaos.py failure --out chaos               # needs no data
    python benchmarks/chaos.py server --only 17 --data DATA --out chaos    # that one again
"""

import json
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import click

from faults.failures import Failure
from faults.kinds import KINDS, Trial
from faults.launched import FaultError
from faults.plans import COUNTS, Plan, plan

Line = Mapping[str, Any]


@click.command(context_settings={"show_default": True})
@click.argument("kind", type=click.Choice([*KINDS, "all"]))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the results."
)
@click.option(
    "--count", type=int, help="Runs of each kind; by default 200, of `signal` and `failure` 100."
)
@click.option("--real", type=int, default=40, help="So many of them all train a CNN on MNIST.")
@click.option("--data", type=click.Path(path_type=Path), help="The data's folder, for these.")
@click.option("--seed", type=int, default=0, help="What is done to runs is a function of it.")
@click.option("--only", type=int, help="Make the run of this number, even if it was made.")
def main(
    kind: str,
    out: Path,
    count: int | None,
    real: int,
    data: Path | None,
    seed: int,
    only: int | None,
) -> None:
    """Disturb runs, and say how they fared; ends with exit code 1 if any did anything wrong."""
    # A script in the background would have it ignored, also by all runs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no run outlives the campaign
    out, data = out.absolute(), data and data.absolute()
    out.mkdir(parents=True, exist_ok=True)
    kinds = list(KINDS) if kind == "all" else [kind]
    for each in kinds:
        done = results(out, each, seed)
        numbers = range(count or COUNTS[each]) if only is None else [only]
        asked = [n for n in numbers if n not in done or only is not None]
        run_all([planned(seed, each, n, real=real, data=data) for n in asked], seed, out)
    lines = [line for each in kinds for line in results(out, each, seed).values()]
    print(page(lines))
    if any(line["faults"] for line in lines):
        sys.exit(1)


def planned(seed: int, kind: str, number: int, *, real: int, data: Path | None) -> Plan | Failure:
    """Draw what is done to a run."""
    if kind == "failure":
        return Failure.plan(seed, number)
    return plan(seed, kind, number, real=real, data=data)


def run_all(plans: Iterable[Plan | Failure], seed: int, out: Path) -> None:
    """Make runs, and write down what each has shown."""
    for each in plans:
        if each.is_real and each.settings["data.root"] is None:
            print(f"{each}: left out, it needs --data", file=sys.stderr)
            continue
        line = {"seed": seed, **run(each, out)}
        with (out / f"{each.kind}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        said = "; ".join(line["faults"]) or "passed"
        print(f"{each}: {said} ({line['seconds']:.0f} s)", file=sys.stderr, flush=True)


def run(chosen: Plan | Failure, out: Path) -> dict[str, Any]:
    """Make one run, and return what it has shown."""
    folder = out / f"{chosen.kind}-{chosen.number:03}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    began_s, trial = time.monotonic(), Trial(chosen, folder)
    try:
        KINDS[chosen.kind](trial)
        trial.check_left_behind()
    except FaultError as fault:
        trial.expect(False, str(fault))
    except Exception as error:  # a file that cannot be read, for instance
        (folder / "traceback.txt").write_text(traceback.format_exc())
        trial.expect(False, f"{type(error).__name__}: {error}")
    if not trial.result.faults:
        shutil.rmtree(folder)
    return {
        "kind": chosen.kind,
        "number": chosen.number,
        "plan": str(chosen),
        "settings": chosen.settings,
        **asdict(trial.result),
        "folder": str(folder) if trial.result.faults else None,
        "seconds": time.monotonic() - began_s,
    }


def results(out: Path, kind: str, seed: int) -> dict[int, Line]:
    """Return what each run has shown, the last time that it was made, by its number."""
    path = out / f"{kind}.jsonl"
    lines = map(json.loads, path.read_text().splitlines() if path.exists() else [])
    return {line["number"]: line for line in lines if line["seed"] == seed}


def page(lines: Sequence[Line]) -> str:
    """Return all results as Markdown."""
    kinds = {kind: [line for line in lines if line["kind"] == kind] for kind in KINDS}
    parts = [
        ["| kind | runs | passed | among them |", "| --- | ---: | ---: | --- |"],
        ["| kind | seconds | runs | median | longest |", "| --- | --- |" + " ---: |" * 3],
        [
            f"- {line['plan']}: {'; '.join(line['faults'])} ({line['folder']})"
            for line in lines
            if line["faults"]
        ],
    ]
    for kind, some in kinds.items():
        if some:
            passed = sum(not line["faults"] for line in some)
            notes = Counter(note for line in some for note in line["notes"])
            among = ", ".join(f"{number} {note}" for note, number in notes.items())
            parts[0].append(f"| {kind} | {len(some)} | {passed} | {among} |")
            parts[1] += times(kind, some)
            parts[1] += times(
                f"{kind}, async",
                [line for line in some if line["settings"]["method.preset"] == "async"],
            )
    return "\n\n".join("\n".join(part) for part in parts if part)


def times(title: str, lines: Sequence[Line]) -> Iterator[str]:
    """Yield a row for each thing that took time."""
    for name in dict.fromkeys(name for line in lines for name in line["times_s"]):
        known = [line["times_s"][name] for line in lines if name in line["times_s"]]
        yield f"| {title} | {name} | {len(known)} | {median(known):.3f} | {max(known):.3f} |"


if __name__ == "__main__":
    main()
