"""Starts ranks under the mpirun of this environment, and leaves none of them behind."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from hybridmpi import read_run
from hybridmpi.errors import UserError
from hybridmpi.launcher import command_line, matching_mpirun
from hybridmpi.runlog.run import Run

HERE = Path(__file__).parent
LIMIT_S = 240.0
JOB = """
run = { gradient_limit = 8, output = "runs/run.h5" }
method = { preset = "sync" }
data = { dataset = "digits", batch_size = 16 }
model = { name = "models_for_ranks:small" }
"""
MARK = "HYBRIDMPI_TEST_RANKS"  # in the environment of all that one command starts


@dataclass(frozen=True)
class Ended:
    """What became of a command."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def told(self) -> list[str]:
        """The lines on stderr, but for the mpirun line that `launch` shows, and empty ones."""
        lines = self.stderr.replace("\0", "").splitlines()
        return [line for line in lines if line.strip() and "mpirun -n" not in line]

    def count(self, words: str) -> int:
        """Return how often stderr says something."""
        return "\n".join(self.told).count(words)

    @property
    def errors(self) -> list[str]:
        """The first lines of our error messages."""
        return [line for line in self.told if line.startswith("Error: ")]


class Running:
    """A command that starts ranks."""

    def __init__(self, arguments: Sequence[str], folder: Path, added: Mapping[str, str]) -> None:
        self._mark = uuid.uuid4().hex
        path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        self.began_s = time.monotonic()
        self.process = subprocess.Popen(
            arguments,
            cwd=folder,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                **added,
                "PYTHONPATH": path,
                MARK: self._mark,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait(self) -> Ended:
        """Wait for the end."""
        try:
            stdout, stderr = self.process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired as late:
            pytest.fail(
                f"not ended after {LIMIT_S} s; stdout: {late.output}, stderr: {late.stderr}"
            )
        seconds = time.monotonic() - self.began_s
        return Ended(self.process.returncode, stdout, stderr, seconds)

    def left_alive(self, within_s: float = 60.0) -> list[psutil.Process]:
        """Return the processes of this command that are still there after some seconds."""
        return psutil.wait_procs(list(self.processes()), timeout=within_s)[1]

    def end(self) -> None:
        """End all that the command has started."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.communicate()

    def rank(self, number: int) -> psutil.Process:
        """Return the process of a rank of `hybridmpi train`."""
        names = ("OMPI_COMM_WORLD_RANK", "PMI_RANK")
        (found,) = (
            process
            for process in self.processes()
            if str(number) in [process.environ().get(name) for name in names]
            and "train" in process.cmdline()
        )
        return found

    def processes(self) -> Iterator[psutil.Process]:
        """Yield the processes of this command."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self._mark:
                    yield process


class Ranks:
    """Starts ranks in a folder of their own, where the job lies and the run files go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job = folder / "job.toml"
        self.job.write_text(JOB)
        self.run_file = folder / "runs" / "run.h5"

    def launch(self, ranks: int, *options: str) -> Ended:
        """Run the job with `hybridmpi launch`."""
        with self.launched(ranks, *options) as running:
            return running.wait()

    def mpirun(self, ranks: int, *command: str) -> Ended:
        """Run Python with these arguments under bare mpirun."""
        with self.started(ranks, *command) as running:
            return running.wait()

    def without_mpirun(self, *command: str) -> Ended:
        """Run Python with these arguments."""
        with self.running([sys.executable, *command]) as running:
            return running.wait()

    @contextmanager
    def launched(self, ranks: int, *options: str) -> Iterator[Running]:
        """Start `hybridmpi launch` with the job."""
        command = ["-m", "hybridmpi", "launch", "-n", str(ranks), str(self.job), *options]
        with self.running([sys.executable, *command]) as running:
            yield running

    @contextmanager
    def started(self, ranks: int, *command: str) -> Iterator[Running]:
        """Start bare mpirun, which unlike `launch` has nothing against a single rank."""
        line = command_line(
            matching_mpirun(),
            max(ranks, 2),
            [sys.executable, *command],
            cores=1,
            is_root=os.geteuid() == 0,
            environment=os.environ,
        )
        arguments = list(line.arguments)
        arguments[arguments.index("-n") + 1] = str(ranks)
        with self.running(arguments, line.environment) as running:
            yield running

    def read(self) -> Run:
        """Read the run file."""
        return read_run(self.run_file)

    def output(self) -> list[str]:
        """Name all files in the output folder, hidden ones too."""
        return sorted(path.name for path in self.run_file.parent.glob("*"))

    def wait_for_gradients(self, count: int = 1) -> None:
        """Wait until the run file of a run that goes on holds so many gradients."""
        self.wait_for(lambda run: len(run.gradients) >= count)

    def wait_for(self, is_so: Callable[[Run], bool]) -> None:
        """Wait until this is so of the run file of a run that goes on."""
        end_s = time.monotonic() + LIMIT_S
        while not (self.run_file.exists() and is_so(self.read())):
            assert time.monotonic() < end_s, "the run did not get there in time"
            time.sleep(0.1)

    @contextmanager
    def running(
        self, arguments: Sequence[str], added: Mapping[str, str] | None = None
    ) -> Iterator[Running]:
        """Start a command, and leave nothing of it behind."""
        running = Running(arguments, self.folder, added or {})
        try:
            yield running
        finally:
            running.end()


@pytest.fixture(scope="session")
def _mpirun() -> None:
    try:
        matching_mpirun()
    except UserError as error:
        pytest.skip(f"no MPI: {error}")


@pytest.fixture
def ranks(tmp_path: Path, _mpirun: None) -> Ranks:
    """Start ranks in a folder of this test."""
    return Ranks(tmp_path)


@pytest.fixture(scope="module")
def ranks_of_module(tmp_path_factory: pytest.TempPathFactory, _mpirun: None) -> Ranks:
    """Start ranks in a folder of this module's tests."""
    return Ranks(tmp_path_factory.mktemp("ranks"))


@dataclass(frozen=True)
class World:
    """Jobs that were trained one after the other by the same ranks.

    Attributes:
        runs: The run file of each job.
        seconds: How long each job took, evaluation included.
        modules: For each rank, what it has imported.
    """

    runs: dict[str, Run]
    seconds: dict[str, float]
    modules: list[set[str]]


@pytest.fixture(scope="module")
def train_all(
    tmp_path_factory: pytest.TempPathFactory, _mpirun: None
) -> Callable[[int, Mapping[str, Mapping[str, Any]]], World]:
    """Return a function that trains many jobs, by name, in one world of ranks."""

    def train(ranks: int, jobs: Mapping[str, Mapping[str, Any]]) -> World:
        folder = tmp_path_factory.mktemp(f"{ranks}_ranks")
        (folder / "jobs.json").write_text(json.dumps(jobs))
        ended = Ranks(folder).mpirun(ranks, "-m", "mpi4py", str(HERE / "train_all.py"))
        assert ended.exit_code == 0, ended
        said = json.loads((folder / "said.json").read_text())
        runs = {name: read_run(folder / f"{name}.h5") for name in jobs}
        return World(runs, said["seconds"], [set(modules) for modules in said["modules"]])

    return train
