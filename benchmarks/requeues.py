"""One run that Slurm ends and starts again, many times.

Submits a small job over several nodes of the Slurm at hand by `hybridmpi slurm`, and, once it has a
new checkpoint and a moment later, drawn at random, does one of two things to it: sends it SIGUSR1,
as before its time limit, or takes one of its nodes away, which needs an administrator's rights. At
last the job file gets an end, and the run must be complete, hold every gradient once, and replay
bit for bit.

    python benchmarks/requeues.py --requeues 20 --lost-nodes 3
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click

LIMIT_S = 300.0
MOMENT_S = 3.0
LAST_GRADIENTS = 300
BACK = ("PENDING", "RUNNING")
JOB = """
run = {{ gradient_limit = {limit}, output = "run.h5" }}
method = {{ preset = "hybrid", threshold = {{ schedule = "linear", slope = 1e-3 }} }}
data = {{ dataset = "digits", batch_size = 16 }}
delays = {{ fraction = 1.0, min_s = 0.02, max_s = 0.04 }}
checkpoint = {{ every_s = 0.5 }}
"""


@click.command(context_settings={"show_default": True})
@click.option("--requeues", type=int, default=20, help="Signals that put the job back.")
@click.option("--lost-nodes", type=int, default=0, help="Nodes that are taken away.")
@click.option("--nodes", type=int, default=2, help="Nodes of the job.")
@click.option("--ranks", type=int, default=4, help="The server and its workers.")
@click.option("--launcher", type=click.Choice(["srun", "mpirun"]), default="srun")
@click.option("--seed", type=int, default=0, help="Of the moments, and of the order.")
@click.option("--limit-s", type=float, default=1800.0, help="Time for all of it.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line.")
def main(
    requeues: int,
    lost_nodes: int,
    nodes: int,
    ranks: int,
    launcher: str,
    seed: int,
    limit_s: float,
    as_json: bool,
) -> None:
    """Count what becomes of a run that is ended again and again."""
    began_s, draws = time.monotonic(), random.Random(seed)
    kinds = ["usr1"] * requeues + ["lost"] * lost_nodes
    draws.shuffle(kinds)
    with tempfile.TemporaryDirectory(dir=".", prefix="requeues-") as folder:
        run = SlurmRun(Path(folder).absolute(), draws)
        run.submit(nodes, ranks, launcher)
        try:
            for number, kind in enumerate(kinds, 1):
                if time.monotonic() - began_s > limit_s:
                    sys.exit(f"only {number - 1} of {len(kinds)} ends within {limit_s:g} s")
                run.end(kind, number, is_last=number == len(kinds))
            run.wait_until(lambda: run.field("JobState") == "COMPLETED")
            result = {"ends": len(kinds), "signals": requeues, "lost_nodes": lost_nodes}
            result |= run.account() | {"seconds": round(time.monotonic() - began_s)}
        finally:
            ask("scancel", run.job)
    print(json.dumps(result) if as_json else "\n".join(f"{k:>22}: {v}" for k, v in result.items()))


class SlurmRun:
    """A run in a job of Slurm."""

    def __init__(self, folder: Path, draws: random.Random) -> None:
        self.folder = folder
        self.draws = draws
        self.job = ""
        self.version = 0  # of the newest checkpoint when the job was back in the queue
        self.back_s: list[float] = []  # from each end to the next checkpoint
        self.ended_s = 0.0
        (folder / "job.toml").write_text(JOB.format(limit=10_000_000))

    @property
    def run_file(self) -> Path:
        """The run file."""
        return self.folder / "run.h5"

    def submit(self, nodes: int, ranks: int, launcher: str) -> None:
        """Put the job into the queue."""
        asked = ("--nodes", str(nodes), "--ranks", str(ranks), "--time", "60")
        command = (sys.executable, "-m", "hybridmpi", "slurm", "job.toml", *asked, "--submit")
        self.job = ask(*command, "--launcher", launcher, folder=self.folder).split()[-1]

    def end(self, kind: str, number: int, *, is_last: bool) -> None:
        """End the job for the `number`th time, a moment after it has got further."""
        self.wait_until(lambda: self.newest() > self.version)
        if self.ended_s:
            self.back_s.append(time.monotonic() - self.ended_s)
        time.sleep(self.draws.uniform(0, MOMENT_S))
        if is_last:
            limit = self.num_gradients() + LAST_GRADIENTS
            (self.folder / "job.toml").write_text(JOB.format(limit=limit))
        self.ended_s = time.monotonic()
        if kind == "usr1":
            ask("scancel", "--signal=USR1", "--batch", self.job)
        else:
            self.lose_a_node()
        self.wait_until(
            lambda: self.field("Restarts") == str(number) and self.field("JobState") in BACK
        )
        self.version = self.newest()

    def lose_a_node(self) -> None:
        """Take one of the job's nodes away; a slurmd that lives brings it back some time later."""
        nodes = ask("scontrol", "show", "hostnames", self.field("NodeList")).split()
        node = f"nodename={self.draws.choice(nodes)}"
        ask("scontrol", "update", node, "state=down", "reason=benchmark")

    def newest(self) -> int:
        """Return the version of the newest checkpoint, or 0."""
        from hybridmpi.checkpoints.file import checkpoints_in, folder_of

        found = checkpoints_in(folder_of(self.run_file))
        return int(found[-1].stem) if found else 0

    def num_gradients(self) -> int:
        """Return how many gradients the run file holds."""
        from hybridmpi import read_run

        return len(read_run(self.run_file).gradients)

    def field(self, name: str) -> str:
        """Return what Slurm says of the job."""
        words = ask("scontrol", "show", "job", "--oneliner", self.job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)[name]

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something, while the job has not failed."""
        deadline_s = time.monotonic() + LIMIT_S
        while not is_so():
            if time.monotonic() > deadline_s or self.field("JobState") in ("FAILED", "TIMEOUT"):
                log = "".join(path.read_text() for path in self.folder.glob("*.log"))
                sys.exit(f"{log[-5000:]}\njob {self.job} is {self.field('JobState')}: given up")
            time.sleep(0.1)

    def account(self) -> dict[str, Any]:
        """Return what the run file says at the end."""
        from hybridmpi import read_run

        run = read_run(self.run_file)
        replay = [sys.executable, "-m", "hybridmpi", "replay", str(self.run_file)]
        replayed = subprocess.run(replay, stdout=subprocess.PIPE, text=True, check=False)
        if replayed.returncode != 0:
            print(replayed.stdout, file=sys.stderr)
        return {
            "restarts": int(self.field("Restarts")),
            "status": run.status,
            "gradients": len(run.gradients),
            "gradients_twice": int(run.gradients.duplicated(["worker", "batch"]).sum()),
            "steps": run.final_version,
            "steps_missing": run.final_version - len(set(run.steps.version)),
            "replay_exit_code": replayed.returncode,
            "median_s_to_go_on": round(median(self.back_s), 1) if self.back_s else None,
            "max_s_to_go_on": round(max(self.back_s), 1) if self.back_s else None,
        }


def ask(*command: str, folder: Path | None = None) -> str:
    """Return what a command says."""
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=True
    )
    return done.stdout


if __name__ == "__main__":
    main()
