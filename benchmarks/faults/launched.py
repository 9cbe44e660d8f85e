"""`hybridmpi launch` in a folder of its own, its ranks, and what it leaves behind."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from faults.plans import RANKS

LIMIT_S = 240.0  # other work on the machine may make a run slow
_CLEARING_LIMIT_S = 10.0
_MARK = "HYBRIDMPI_CHAOS"  # in the environment of all that one command starts
_RANK = ("OMPI_COMM_WORLD_RANK", "PMI_RANK")
_TRAINS = "train loss"  # in the head of the lines that a run writes while it trains
_SHARED_MEMORY = Path("/dev/shm")


class FaultError(Exception):
    """A run did what it must not; nothing more can be found out from it."""


class Launched:
    """A command that starts ranks."""

    def __init__(
        self,
        folder: Path,
        name: str,
        arguments: list[str],
        added: Mapping[str, str],
        limit_s: float,
    ) -> None:
        """Start it.

        Args:
            folder: Its working folder.
            name: Its output goes to NAME.txt there.
            arguments: Of Python.
            added: Variables of its environment.
            limit_s: When it is given up.
        """
        self._mark = uuid.uuid4().hex
        self._output = folder / f"{name}.txt"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env={**environment(folder), **added, _MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._limit_s = limit_s
        self._deadline_s = time.monotonic() + limit_s

    def wait_for_training(self) -> float:
        """Return when training began, on the monotonic clock.

        That is late by as long as the first line takes from rank 0 to here.
        """
        while _TRAINS not in self.said():
            if self.process.poll() is not None:
                raise FaultError(f"ended with {self.process.returncode} before it trained")
            if self.is_late():
                raise FaultError(f"did not train within {self._limit_s:.0f} s")
            time.sleep(0.005)
        return time.monotonic()

    def said(self) -> str:
        """Return what it has said so far."""
        return self._output.read_text(errors="replace")

    def is_late(self) -> bool:
        """Say whether it is to be given up."""
        return time.monotonic() > self._deadline_s

    def find(self, target: str) -> psutil.Process:
        """Return the process of launch, of mpirun, or of a rank."""
        launch = psutil.Process(self.process.pid)
        if target == "launch":
            return launch
        if target == "mpirun":
            return next(each for each in launch.children() if each.children())  # a guard has none
        ranks = [each for each in launch.children(recursive=True) if _rank_of(each) == target]
        if not ranks:
            raise FaultError(f"rank {target} is not there")
        return ranks[0]

    def shared_memory(self) -> set[Path]:
        """Return the segments of shared memory that its processes map."""
        found: set[Path] = set()
        for process in self._processes():
            with suppress(psutil.Error):
                found |= {Path(each.path) for each in process.memory_maps()}
        return {path for path in found if _SHARED_MEMORY in path.parents}

    def wait(self) -> int:
        """Wait for the end, and return the exit code."""
        try:
            code = self.process.wait(max(0, self._deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise FaultError(f"did not end within {self._limit_s:.0f} s") from None
        if alive := psutil.wait_procs(list(self._processes()), timeout=5)[1]:
            raise FaultError(f"{len(alive)} processes outlived it: {alive}")
        return code

    def end(self) -> None:
        """End all that this command has started; mpirun first, so that it clears up."""
        if self.process.poll() is None:
            with suppress(psutil.Error, IndexError):
                self.find("mpirun").terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_CLEARING_LIMIT_S)
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == self._mark:
                    yield process


@contextmanager
def launched(
    folder: Path,
    name: str,
    *options: str,
    ranks: int = RANKS,
    added: Mapping[str, str] = {},
    limit_s: float = LIMIT_S,
) -> Iterator[Launched]:
    """Start `hybridmpi launch` with these options, and leave no process behind."""
    arguments = ["-m", "hybridmpi", "launch", "-n", str(ranks), *options]
    running = Launched(folder, name, arguments, added, limit_s)
    try:
        yield running
    finally:
        running.end()


def replay(folder: Path, run_file: Path) -> int:
    """Return the exit code of `hybridmpi replay`."""
    with (folder / "replay.txt").open("w") as output:
        return subprocess.run(
            [sys.executable, "-m", "hybridmpi", "replay", str(run_file)],
            env=environment(folder),
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
            check=False,
        ).returncode


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a run: it finds the tiny model, and MPI has a folder of its own."""
    temporary(folder).mkdir(exist_ok=True)
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(temporary(folder))}


def temporary(folder: Path) -> Path:
    """Return where MPI keeps files while it runs."""
    return folder / "tmp"


def _rank_of(process: psutil.Process) -> str | None:
    with suppress(psutil.Error):
        variables = process.environ()
        if "train" in process.cmdline():
            return next((variables[name] for name in _RANK if name in variables), None)
    return None
