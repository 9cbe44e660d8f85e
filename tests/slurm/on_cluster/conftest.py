"""A real Slurm of two nodes, which a script starts on this machine; see CONTRIBUTING.md."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hybridmpi import read_run
from hybridmpi.checkpoints.file import checkpoints_in, folder_of
from hybridmpi.runlog.run import Run

MODELS = Path(__file__).parents[2] / "mpi"
LIMIT_S = 240.0
START_LIMIT_S = 240.0  # packages are installed where they are missing
RANKS = 3
JOB = """
run = { gradient_limit = 200, output = "runs/run-{seed}.h5" }
method = { preset = "async" }
data = { dataset = "digits", batch_size = 16 }
model = { name = "models_for_ranks:small" }
delays = { fraction = 1.0, min_s = 0.02, max_s = 0.02 }
checkpoint = { every_s = 0.3 }
"""


class Cluster:
    """The commands of a Slurm, given in a folder that all nodes see."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.job_file = folder / "job.toml"
        self.job_file.write_text(JOB)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, whatever that is."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def ask(self, *command: str) -> str:
        """Run a command that must succeed."""
        done = self.run(*command)
        assert done.returncode == 0, done
        return done.stdout

    def submit(self, *options: str) -> str:
        """Submit the job by `hybridmpi slurm`; return its number."""
        asked = ("--nodes", "2", "--ranks", str(RANKS), "--time", "10", "--submit")
        command = [sys.executable, "-m", "hybridmpi", "slurm", "job.toml", *asked, *options]
        return self.ask(*command).split()[-1]

    def job(self, number: str) -> dict[str, str]:
        """Return what Slurm says of a job."""
        words = self.ask("scontrol", "show", "job", "--oneliner", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait(self, number: str, **fields: str) -> None:
        """Wait until Slurm says so of a job, whose log is shown if it does not."""
        deadline_s = time.monotonic() + LIMIT_S
        while not fields.items() <= (said := self.job(number)).items():
            if time.monotonic() > deadline_s or said["JobState"] in ("FAILED", "TIMEOUT"):
                pytest.fail(f"job {number} is not {fields}, but {said}\n{self.log()}")
            time.sleep(0.2)

    def newest_version(self) -> int:
        """Return the version of the run's newest checkpoint; 0 if there is none."""
        found = checkpoints_in(folder_of(self.run_file()))
        return int(found[-1].stem) if found else 0

    def wait_for_checkpoint(self, beyond: int = 0) -> int:
        """Wait until the run has a checkpoint beyond a version; return its version."""
        deadline_s = time.monotonic() + LIMIT_S
        while (version := self.newest_version()) <= beyond:
            assert time.monotonic() < deadline_s, f"no checkpoint in time\n{self.log()}"
            time.sleep(0.1)
        return version

    def log(self) -> str:
        """Return what all jobs have written."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def run_file(self, seed: int = 0) -> Path:
        """Return the path of a run file."""
        return self.folder / "runs" / f"run-{seed}.h5"

    def complete_run(self, gradients: int, seed: int = 0) -> Run:
        """Return a run over both nodes, which is complete and has every gradient once."""
        run = read_run(self.run_file(seed))
        assert run.status == "complete", self.log()
        assert len(run.gradients) == gradients
        assert not run.gradients.duplicated(["worker", "batch"]).any()
        assert run.steps.version.tolist() == list(range(1, run.final_version + 1))
        assert run.steps.gradients.sum() == (run.gradients.step > 0).sum()
        assert set(run.workers.host) == {"n1", "n2"}
        return run


@pytest.fixture(scope="session")
def slurm() -> Iterator[dict[str, str]]:
    """Start a Slurm, yield the environment in which its commands work, and end what was started."""
    up = Path(os.environ.get("HYBRIDMPI_SLURM", ""))
    if not up.is_file():
        pytest.skip("HYBRIDMPI_SLURM names no script that starts a Slurm")
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # sockets in it need a short path
    down = up.with_name(up.name.replace("up", "down"))
    install = [] if shutil.which("slurmctld") else ["-i"]
    try:
        done = script([up, *install, "-n", "2", "-w", folder])
        if done.returncode != 0:
            pytest.skip(f"no Slurm can be started here: {done.stdout[-500:]}")
        yield {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join([str(MODELS), os.environ.get("PYTHONPATH", "")]),
        }
    finally:
        script([down, "-w", folder])
        shutil.rmtree(folder, ignore_errors=True)


def script(command: Sequence[Any]) -> "subprocess.CompletedProcess[str]":
    """Run a script that starts or ends a Slurm beside others on this machine."""
    own = os.getpid() % 150
    apart = {
        "SLURMT_NET": f"10.78.{own}",
        "SLURMT_PORT": str(17000 + 100 * own),
        "SLURMT_TAG": f"t{own}",
    }
    return subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **apart},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_LIMIT_S,
        check=False,
    )


@pytest.fixture
def cluster(slurm: dict[str, str], tmp_path: Path) -> Iterator[Cluster]:
    """Return a cluster on which nothing runs, before and after the test."""
    cluster = Cluster(tmp_path, slurm)
    yield cluster
    cluster.run("scancel", "--full", "--user=root")
    cluster.run("scontrol", "update", "nodename=n1,n2", "state=resume")
    deadline_s = time.monotonic() + LIMIT_S
    while cluster.ask("squeue", "--noheader") and time.monotonic() < deadline_s:
        time.sleep(0.2)
