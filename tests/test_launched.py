"""What can be seen of a run from outside, and how long what is left of it may stay."""

import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from hybridmpi import launched
from hybridmpi.launched import FAILING_LIMIT_S, Course
from hybridmpi.launcher import CommandLine
from hybridmpi.runlog.writer import RunWriter

RANK = 'import sys, time; open(sys.argv[1], "w"); time.sleep(600)'


def ends_within(process: int, seconds: float) -> bool:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launched, "_LOOK_S", 0.0)


def test_a_run_may_go_on_until_its_file_is_closed(
    tmp_path: Path, new_run: Callable[..., RunWriter]
) -> None:
    path = tmp_path / "run.h5"
    new_run().close("failed", error="an older run")
    course = Course(path)
    assert (course.status(), course.allowed_s(os.getpid())) == ("not begun", math.inf)
    path.unlink()
    writer = new_run()
    assert (course.status(), course.allowed_s(os.getpid())) == ("running", math.inf)
    writer.close("failed", error="a worker failed")
    assert (course.status(), course.error()) == ("failed", "a worker failed")
    assert course.allowed_s(os.getpid()) == FAILING_LIMIT_S


def test_a_run_that_has_ended_well_is_given_more_time(
    tmp_path: Path, new_run: Callable[..., RunWriter]
) -> None:
    course = Course(tmp_path / "run.h5")
    new_run().close("complete")
    assert FAILING_LIMIT_S < course.allowed_s(os.getpid()) < math.inf


def test_ranks_that_outlive_their_server_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends unnoticed, a worker stays; mpirun would wait for ever."""
    monkeypatch.setattr(launched, "FAILING_LIMIT_S", 1.0)
    python = f"{sys.executable} -c '{RANK}' {tmp_path}"
    mpirun = (
        f"PMI_RANK=1 {python}/worker train & echo $! >{tmp_path}/pid; "
        f"PMI_RANK=0 {python}/server train & "
        f"until test -e {tmp_path}/worker -a -e {tmp_path}/server; do sleep 0.1; done; "
        "sleep 1; kill $!; wait"
    )
    began_s = time.monotonic()
    with (tmp_path / "output").open("w+") as output:
        line = CommandLine({}, ("sh", "-c", mpirun))
        ending = launched.start(line, tmp_path / "run.h5", output)
        assert "Error: the ranks ended before the run began" in Path(output.name).read_text()
    assert ending.exit_code == 1
    assert time.monotonic() - began_s < 120
    assert (tmp_path / "server").exists()
    worker = int((tmp_path / "pid").read_text())
    assert ends_within(worker, seconds=60)  # it has been sent SIGKILL
