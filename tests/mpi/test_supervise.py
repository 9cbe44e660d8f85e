"""Real signals, real mpirun: a process that supervises ranks which say what reaches them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hybridmpi.errors import UserError
from hybridmpi.launcher import matching_mpirun

RANKS = 3
LIMIT_S = 120.0

SUPERVISOR = """
import os, sys
from hybridmpi import supervise
from hybridmpi.launcher import command_line, matching_mpirun

supervise.STOP_LIMIT_S = float(sys.argv[1])
line = command_line(
    matching_mpirun(), 3, sys.argv[2:], cores=1, is_root=os.geteuid() == 0, environment=os.environ
)
ending = supervise.supervise_to_end(line, usr1_stops="USR1_STOPS" in os.environ)
sys.exit(ending.exit_code)
"""

RANK = """
import os, signal, sys, time
from pathlib import Path

folder, on_stop = Path(sys.argv[1]), sys.argv[2]
signals = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, _: signals.append(signal.Signals(number).name))

from mpi4py import MPI

rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
(folder / f"ready.{rank}").write_text(f"{os.getpid()} {size}")
deadline = time.monotonic() + 600
while time.monotonic() < deadline and (on_stop == "ignore" or not signals):
    time.sleep(0.02)
time.sleep(0.2)  # for a further signal, which must not come
(folder / f"stopped.{rank}").write_text(" ".join(signals))
MPI.Finalize()
if rank == 0:
    sys.exit(int(on_stop))
"""


class Job:
    """Ranks under a supervisor of their own."""

    def __init__(self, folder: Path, on_stop: str, stop_limit_s: float) -> None:
        self.folder = folder
        script = folder / "rank.py"
        script.write_text(RANK)
        rank = [sys.executable, "-m", "mpi4py", str(script), str(folder), on_stop]
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(stop_limit_s), *rank],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self.ranks, self.world_sizes = self._wait_until_ready()
        except BaseException:
            self.end()
            raise

    def _wait_until_ready(self) -> tuple[list[psutil.Process], set[int]]:
        deadline = time.monotonic() + LIMIT_S
        while True:
            said = [file.read_text().split() for file in self.folder.glob("ready.*")]
            if len(said) == RANKS and all(len(words) == 2 for words in said):
                processes = [psutil.Process(int(pid)) for pid, _ in said]
                return processes, {int(size) for _, size in said}
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, f"{len(said)} of {RANKS} ranks are ready"
            time.sleep(0.05)

    def wait(self) -> int:
        """Return the exit code of the supervisor."""
        self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode

    def signals(self) -> list[str]:
        """Return what each rank received."""
        return [file.read_text() for file in self.folder.glob("stopped.*")]

    def all_gone(self) -> bool:
        """Whether every rank has ended within some seconds."""
        return not psutil.wait_procs(self.ranks, timeout=LIMIT_S)[1]

    def end(self) -> None:
        """End the supervisor; the kernel then ends mpirun, and mpirun its ranks."""
        self.process.kill()
        self.process.communicate()
        for rank in getattr(self, "ranks", []):
            if rank.is_running():
                rank.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    try:
        matching_mpirun()
    except UserError as error:
        pytest.skip(f"no MPI: {error}")
    jobs: list[Job] = []

    def _start(on_stop: str = "0", stop_limit_s: float = 30.0) -> Job:
        jobs.append(Job(tmp_path, on_stop, stop_limit_s))
        return jobs[-1]

    yield _start
    for job in jobs:
        job.end()


def test_ranks_are_in_one_world_and_the_exit_code_is_theirs(start: Callable[..., Job]) -> None:
    job = start(on_stop="3")
    assert job.world_sizes == {RANKS}
    job.process.send_signal(signal.SIGUSR1)  # forwarded, and no wish to stop
    assert job.wait() == 3
    assert job.signals() == ["SIGUSR1"] * RANKS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_stopping_signal_reaches_ranks_as_usr1(
    start: Callable[..., Job], number: signal.Signals
) -> None:
    job = start()
    job.process.send_signal(number)
    job.process.send_signal(number)  # as `timeout` does
    assert job.wait() == 128 + number
    assert job.signals() == ["SIGUSR1"] * RANKS
    assert job.all_gone()


def test_control_c_reaches_ranks_only_as_usr1(start: Callable[..., Job]) -> None:
    job = start()
    os.killpg(job.process.pid, signal.SIGINT)  # the whole foreground group, as a terminal does
    assert job.wait() == 130
    assert job.signals() == ["SIGUSR1"] * RANKS


def test_second_control_c_ends_ranks_that_go_on(start: Callable[..., Job]) -> None:
    job = start(on_stop="ignore", stop_limit_s=LIMIT_S)
    job.process.send_signal(signal.SIGINT)
    assert job.process.stderr is not None
    assert "asking the ranks to stop" in job.process.stderr.readline()
    began = time.monotonic()
    job.process.send_signal(signal.SIGINT)
    assert job.wait() == 130
    assert time.monotonic() - began < LIMIT_S / 2
    assert job.all_gone()


def test_ranks_that_do_not_stop_in_time_are_ended(start: Callable[..., Job]) -> None:
    job = start(on_stop="ignore", stop_limit_s=0.5)
    job.process.send_signal(signal.SIGTERM)
    assert job.wait() == 143
    assert job.all_gone()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_ranks_end_when_the_supervisor_is_killed(start: Callable[..., Job]) -> None:
    job = start()
    job.process.kill()
    assert job.all_gone()


def test_mpirun_that_dies_takes_its_ranks_along(start: Callable[..., Job]) -> None:
    job = start(on_stop="ignore")
    supervisor = psutil.Process(job.process.pid)
    (mpirun,) = (each for each in supervisor.children() if each.children())  # the guard has none
    mpirun.kill()
    assert job.wait() == 137
    assert job.all_gone()


def test_signal_just_after_the_fork_is_not_lost(
    tmp_path: Path,
    start: Callable[..., Job],  # noqa: ARG001 - skips where there is no MPI
) -> None:
    interrupted_popen = """
import os, signal, subprocess
popen = subprocess.Popen

def interrupted(arguments, **options):
    process = popen(arguments, **options)
    if "-n" in arguments:
        os.kill(os.getpid(), signal.SIGINT)
    return process

subprocess.Popen = interrupted
"""
    sleeping = tmp_path / "sleeping.py"
    sleeping.write_text("import time; time.sleep(600)")
    began = time.monotonic()
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            interrupted_popen + SUPERVISOR,
            str(LIMIT_S),
            sys.executable,
            str(sleeping),
        ],
        stderr=subprocess.DEVNULL,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 130
    assert time.monotonic() - began < LIMIT_S / 2
    left = [
        p for p in psutil.process_iter(["cmdline"]) if str(sleeping) in (p.info["cmdline"] or [])
    ]
    assert left == []


def test_usr1_stops_where_a_run_may_go_on_later(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USR1_STOPS", "")
    job = start()
    job.process.send_signal(signal.SIGUSR1)
    assert job.wait() == 128 + signal.SIGUSR1
    assert job.signals() == ["SIGUSR1"] * RANKS


def test_signal_that_ends_a_run_for_good_counts_more_than_usr1(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USR1_STOPS", "")
    job = start()
    job.process.send_signal(signal.SIGUSR1)
    job.process.send_signal(signal.SIGTERM)
    assert job.wait() == 128 + signal.SIGTERM
