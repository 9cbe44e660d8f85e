"""`hybridmpi compare`: made, cut short in every way, and gone on with."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from hybridmpi.cli import main
from hybridmpi.experiments.folder import locked
from hybridmpi.runlog.attributes import read_attributes

JOB = """
run = { time_limit_s = 1 }
method = { preset = "hybrid" }
data = { dataset = "digits", batch_size = 8 }
evaluation = { every_s = 0.5 }
simulate = { workers = 2, compute_fixed_s = 0.1 }
"""
EXPERIMENT = """
job = "job.toml"
seeds = 2
variants.async.method.preset = "async"
variants.sync.method.preset = "sync"
variants.same.method = { preset = "k-async", threshold = { schedule = "constant", value = 2 } }
decision.reference = "async"
"""
COMMAND = ["compare", "experiment.toml", "--out", "out"]
LIMIT_S = 200.0
KILLS = 2


@pytest.fixture(autouse=True)
def _files(folder: Path) -> None:
    (folder / "job.toml").write_text(JOB)
    (folder / "experiment.toml").write_text(EXPERIMENT)


def compare(*options: str) -> Result:
    return CliRunner().invoke(main, [*COMMAND, *options])


@contextmanager
def started(folder: str) -> Iterator["subprocess.Popen[str]"]:
    """Start the command in a session of its own, and kill it at the end, if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hybridmpi", *COMMAND[:-1], folder, "--processes", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def contents(folder: str) -> dict[str, str]:
    """Return the content hash of every run file that is complete, by its name."""
    found = {}
    for path in Path(folder, "runs").glob("*.h5"):
        attributes = read_attributes(path)  # which works at any moment
        if attributes["status"] == "complete":
            found[path.name] = attributes["content_sha256"]
    return found


def wait_for_runs(folder: str, count: int = 1) -> None:
    end_s = time.monotonic() + LIMIT_S
    while len(list(Path(folder, "runs").glob("*.h5"))) < count:
        assert time.monotonic() < end_s, "no run began in time"
        time.sleep(0.02)


def test_killed_at_random_moments_it_comes_to_the_same_runs() -> None:
    moments = random.Random(4)
    for _ in range(KILLS):
        with started("killed") as process:
            begun = len(list(Path("killed", "runs").glob("*.h5")))
            wait_for_runs("killed", min(begun + 1, 4))
            time.sleep(moments.uniform(0, 0.5))
            workers = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            assert psutil.wait_procs(workers, timeout=LIMIT_S)[1] == []
    with started("killed") as process:
        assert process.wait(LIMIT_S) == 0
    assert compare().exit_code == 0
    assert len(contents("out")) == 4  # `same` is `sync`
    assert contents("killed") == contents("out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_soon_and_says_how_to_go_on(number: signal.Signals) -> None:
    job = JOB.replace("time_limit_s = 1 ", "time_limit_s = 10_000 ").replace("0.5", "5000")
    Path("job.toml").write_text(job)
    with started("out") as process:
        wait_for_runs("out")
        os.killpg(process.pid, number)  # as a terminal does
        sent_s = time.monotonic()
        told = process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == 128 + number
    assert time.monotonic() - sent_s < 100
    assert f"Stopped by {number.name}. Start the same command again to go on." in told
    assert "Traceback" not in told
    assert not contents("out")


def test_all_runs_are_made_once_and_the_report_is_named_as_next() -> None:
    first = compare()
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("4 runs\n[1/4] ")
    assert first.stdout.endswith("4 of 4 runs are there, in out\nNext: hybridmpi report out\n")
    made = {path: path.stat().st_mtime_ns for path in Path("out/runs").iterdir()}
    second = compare()
    assert second.stdout.startswith("4 runs, of which 4 are there already\n4 of 4 runs are")
    assert {path: path.stat().st_mtime_ns for path in Path("out/runs").iterdir()} == made


def test_run_that_fails_is_a_result_and_made_again_only_where_asked_for() -> None:
    diverging = "variants.bad.optimizer.learning_rate = 1e30\n"
    text = EXPERIMENT.replace("seeds = 2", "seeds = 1").replace("decision", diverging + "decision")
    Path("experiment.toml").write_text(text)
    Path("job.toml").write_text(JOB.replace("hybrid", "async").replace("0.1 }", "0.02 }"))
    first = compare()
    assert first.exit_code == 0, first.output
    assert "bad, seed 0: failed: " in first.stdout
    assert "3 of 3 runs are there, in out\n1 failed:\n  bad, seed 0: " in first.stdout
    assert compare().stdout.startswith("3 runs, of which 3 are there already\n")
    assert compare("--retry-failed").stdout.startswith(
        "3 runs, of which 2 are there already\n[3/3]"
    )


def test_data_that_are_missing_end_it_at_once() -> None:
    Path("job.toml").write_text(JOB.replace('"digits"', '"mnist", root = "none"'))
    result = compare()
    assert result.exit_code == 2
    assert re.match(r"Error: runs/\w+-seed\d-\w+\.h5: data set 'mnist': found no ", result.stderr)


def test_folder_in_use_is_refused() -> None:
    with locked(Path("out")):
        result = compare()
    assert (result.exit_code, "in use by another" in result.stderr) == (2, True)


def test_dry_run_says_what_would_be_run_and_writes_nothing() -> None:
    result = compare("--dry-run", "--processes", "2")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["async", "2", "0"] in rows
    assert ["sync", "2", "0"] in rows
    assert ["same", "2", "0", "sync"] in rows
    assert "4 runs, 0 of them there already" in result.stdout
    assert "for the other 4, 2 at a time (by trying one run of each cell for 2 s)" in result.stdout
    assert not Path("out").exists()
