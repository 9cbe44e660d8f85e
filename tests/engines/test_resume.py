"""A simulated run that is killed and goes on from a checkpoint ends as if it had not been."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from pandas.testing import assert_frame_equal

from hybridmpi import read_run
from hybridmpi.checkpoints.file import checkpoints_in, folder_of, read_state, write_state
from hybridmpi.cli import main
from hybridmpi.config.load import parse_job
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.errors import UserError
from hybridmpi.runlog.run import Run

CONSTANT = {"schedule": "constant", "value": 3}
GROWING = {"schedule": "step", "initial": 1, "increment": 1, "every": 40}
SHARED_HOSTS = {"workers_per_host": 4, "cores_per_host": 2}
TRACE = "time_s,worker,event\n0.3,2,leave\n0.9,2,join\n1.1,5,leave\n"
CASES: dict[str, dict[str, dict[str, Any]]] = {
    "hybrid": {"method": {"preset": "hybrid", "threshold": GROWING}},
    "hybrid, momentum": {
        "method": {"preset": "hybrid", "threshold": GROWING},
        "optimizer": {"name": "sgd", "momentum": 0.9},
    },
    "sync, batch normalisation": {
        "method": {"preset": "sync"},
        "model": {"name": "models_for_ranks:convolutional"},
    },
    "k-sync on shared hosts": {
        "method": {"preset": "k-sync", "threshold": CONSTANT},
        "simulate": SHARED_HOSTS,
    },
    "k-batch-async, adam": {
        "method": {"preset": "k-batch-async", "threshold": CONSTANT},
        "optimizer": {"name": "adam", "learning_rate": 0.001},
    },
    "rennala, messages lost": {
        "method": {"preset": "rennala", "threshold": CONSTANT},
        "simulate": {"loss": [0.2], "resend_s": 0.02},
    },
    "async, workers come and go": {"method": {"preset": "async"}, "simulate": {"trace": TRACE}},
    "k-async, without learning": {
        "method": {"preset": "k-async", "threshold": CONSTANT},
        "simulate": {"learning": False},
        "evaluation": {},
    },
}
MACHINE = {"workers": 7, "compute_fixed_s": 0.01, "latency_s": [0.001, 0.004]}
MACHINE |= {"jitter": {"distribution": "exponential"}}


def tree(case: str, folder: Path) -> dict[str, Any]:
    changes = CASES[case]
    simulate = MACHINE | changes.get("simulate", {})
    if "trace" in simulate:
        (folder / "trace.csv").write_text(simulate["trace"])
        simulate |= {"trace": str(folder / "trace.csv")}
    return {
        "run": {"gradient_limit": 200},
        "data": {"dataset": "digits", "batch_size": 16},
        "model": {"name": "models_for_ranks:small"},
        "delays": {"fraction": 0.5, "min_s": 0.01, "max_s": 0.05},
        "evaluation": {"every_steps": 37},
        "checkpoint": {"every_steps": 8, "keep": 100},
        **changes,
        "simulate": simulate,
    }


def assert_same(run: Run, other: Run) -> None:
    for table in ("gradients", "steps", "evaluations", "workers", "events"):
        assert_frame_equal(getattr(run, table), getattr(other, table))
    np.testing.assert_array_equal(run.final, other.final)
    for name in ("content_sha256", "duration_s", "bytes_sent"):
        assert run.attributes[name] == other.attributes[name]
    assert (run.status, run.final_version) == (other.status, other.final_version)


@pytest.mark.parametrize("case", CASES)
def test_every_checkpoint_leads_to_the_same_end(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "mpi")
    job, path = parse_job(tree(case, tmp_path), case), tmp_path / "run.h5"
    Simulation(job).run(path)
    whole, checkpoints = read_run(path), checkpoints_in(folder_of(path))
    assert whole.status == "complete"
    assert len(checkpoints) >= 3
    kept = [(int(each.stem), read_state(each)) for each in checkpoints]
    for version, state in (kept[1], kept[-1]):
        Simulation(job).run(path, resume=state)
        resumed = read_run(path)
        assert_same(resumed, whole)
        assert resumed.attributes["resumed_at_version"] == version


def job_file(folder: Path, **run: Any) -> Path:
    path = folder / "job.toml"
    path.write_text(
        f"""
        [run]
        output = "{folder}/run.h5"
        {"".join(f"{name} = {value}" + chr(10) for name, value in run.items())}
        [method]
        preset = "hybrid"
        threshold = {{ schedule = "step", initial = 1, increment = 1, every = 100 }}
        [data]
        dataset = "digits"
        [model]
        name = "lenet"
        [evaluation]
        every_steps = 100
        [checkpoint]
        every_steps = 20
        """
    )
    return path


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        job_file(folder, gradient_limit=240)
    command = [sys.executable, "-m", "hybridmpi", "simulate"]
    subprocess.run([*command, whole / "job.toml"], check=True, capture_output=True, timeout=120)
    options, kills = [str(killed / "job.toml")], 0
    checkpoints = folder_of(killed / "run.h5")
    while True:
        seen = set(checkpoints_in(checkpoints))
        with subprocess.Popen(
            [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            deadline = time.monotonic() + 120
            while kills < 2 and process.poll() is None and time.monotonic() < deadline:
                if len(set(checkpoints_in(checkpoints)) - seen) >= 1:
                    time.sleep(0.05 * kills)
                    os.kill(process.pid, signal.SIGKILL)
                time.sleep(0.01)
            _, told = process.communicate(timeout=120)
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, told
            break
        kills += 1
        read_run(killed / "run.h5")  # readable at any moment
        options = ["--resume", str(checkpoints)]
    assert kills >= 1
    assert_same(read_run(killed / "run.h5"), read_run(whole / "run.h5"))


def told(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["simulate", *map(str, arguments)])
    return result.exit_code, result.output


DAMAGE: dict[str, tuple[str, Any]] = {
    "core.version": ("core", {"version": 10**6}),
    "core.waiting": ("core", {"waiting": [1, 1, 99]}),
    "core.computing": ("core", {"computing": {"1": 10**9}}),
    "core.samples": ("core", {"samples": "many"}),
    "core.pushes": ("core", {"pushes": [[1, 0, 0, 0, 2.0, 0, 0.0, 0.0, True]]}),
    "recorder.rows": ("recorder", {"rows": {"gradients": -1, "steps": 0}}),
    "recorder.next_batch": ("recorder", {"next_batch": [[1, 10**15]]}),
    "snapshots.points": ("snapshots", {"points": -(10**15)}),
    "snapshots.taken": ("snapshots", {"taken": [[0.0, 10**6, 0]]}),
    "cluster.now_ns": ("cluster", {"now_ns": "now"}),
    "cluster.next_batch": ("cluster", {"next_batch": [10**15] * 26}),
    "cluster.tasks": ("cluster", {"tasks": [[]]}),
    "cluster.events": ("cluster", {"events": [[0, 9, 0, [1, 0]]]}),
    "cluster.hosts": ("cluster", {"hosts": [{}]}),
}


@pytest.fixture(scope="module")
def ended_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ended")
    assert told(job_file(folder, gradient_limit=60))[0] == 0
    return folder / "run.h5"


@pytest.mark.parametrize("part", DAMAGE)
def test_a_damaged_checkpoint_leaves_the_run_file_alone(ended_run: Path, part: str) -> None:
    path = checkpoints_in(folder_of(ended_run))[-1]
    state, content = read_state(path), ended_run.read_bytes()
    name, changed = DAMAGE[part]
    write_state(path, state._replace(facts={**state.facts, name: state.facts[name] | changed}))
    code, words = told("--resume", path, "--set", "run.gradient_limit=80")
    write_state(path, state)
    assert (code, "the checkpoint is damaged" in words) == (2, True), words
    assert ended_run.read_bytes() == content


@pytest.mark.parametrize("changed", [torch.ones(3), torch.ones(62_006).double(), None])
def test_a_checkpoint_with_other_parameters_is_refused(
    ended_run: Path, changed: torch.Tensor | None
) -> None:
    path = checkpoints_in(folder_of(ended_run))[-1]
    state, content = read_state(path), ended_run.read_bytes()
    tensors = dict(state.tensors)
    del tensors[name := f"version.{state.facts['core']['version']}"]
    if changed is not None:
        tensors[name] = changed
    write_state(path, state._replace(tensors=tensors))
    code, words = told("--resume", path, "--set", "run.gradient_limit=80")
    write_state(path, state)
    assert (code, "the checkpoint is damaged" in words) == (2, True), words
    assert ended_run.read_bytes() == content


def test_a_complete_run_can_go_on_beyond_its_limit(tmp_path: Path) -> None:
    assert told(job_file(tmp_path, gradient_limit=80))[0] == 0
    folder = folder_of(tmp_path / "run.h5")
    assert told("--resume", folder, "--set", "run.gradient_limit=120")[0] == 0
    longer = read_run(tmp_path / "run.h5")
    other = tmp_path / "other"
    other.mkdir()
    assert told(job_file(other, gradient_limit=120))[0] == 0
    assert_same(longer, read_run(other / "run.h5"))


def test_what_cannot_go_on_is_told(tmp_path: Path) -> None:
    job = job_file(tmp_path, gradient_limit=80)
    assert told() == (2, pytest.approx(told()[1]))
    assert "Give a JOB.toml, or --resume" in told()[1]
    assert told(job)[0] == 0
    folder = folder_of(tmp_path / "run.h5")
    assert "Give a JOB.toml, or --resume" in told(job, "--resume", folder)[1]
    for setting in ("run.seed=3", "method.preset=async", "simulate.workers=9", "run.output=x.h5"):
        code, words = told("--resume", folder, "--set", setting)
        assert code == 2
        assert "cannot change when a run goes on" in words
    (path,) = checkpoints_in(folder)[-1:]
    state = read_state(path)
    write_state(path, state._replace(facts={**state.facts, "engine": "mpi"}))
    assert "was written by `hybridmpi train`" in told("--resume", path)[1]
    for missing in ("core", "cluster", "recorder", "snapshots"):
        facts = {name: fact for name, fact in state.facts.items() if name != missing}
        write_state(path, state._replace(facts=facts))
        code, words = told("--resume", path)
        assert (code, "the checkpoint is damaged" in words) == (2, True), (missing, words)
    write_state(path, state)
    shutil.copy(tmp_path / "run.h5", tmp_path / "kept.h5")
    (tmp_path / "run.h5").unlink()
    assert "run.h5' is not there" in told("--resume", path)[1]
    shutil.copy(tmp_path / "kept.h5", tmp_path / "run.h5")
    short = parse_job({**state.facts["job"], "run": {"gradient_limit": 5}}, "short")
    Simulation(short).run(tmp_path / "run.h5", force=True)
    with pytest.raises(UserError, match="take the run file that it belongs to"):
        Simulation(short).run(tmp_path / "run.h5", resume=state)
