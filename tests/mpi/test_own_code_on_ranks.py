"""The user's folder, and the threads that the user asks for, on ranks and in other processes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NETS = """
def late(shape, classes):
    from layers import dense
    return dense(shape, classes)
"""
LAYERS = """
from torch import nn

def dense(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))
"""
# Modules that Python, mpi4py, torch or we ourselves import.
TAKEN = ("queue", "random", "types", "typing", "torch", "numpy", "h5py", "hybridmpi", "mpi4py")
OPTIONS = ("--set", "model.name=nets:late", "--set", "optimizer.clip_norm=1.0", "--force")
# What pip makes of pyproject's [project.scripts]: its folder, not the current one, is in sys.path.
SCRIPT = "from hybridmpi.cli import main\nmain(prog_name='hybridmpi')\n"


@pytest.fixture
def folder(ranks: Any) -> Path:
    """Fill the folder of the ranks with the user's files; some have names that are taken."""
    path: Path = ranks.folder
    (path / "nets.py").write_text(NETS)
    (path / "layers.py").write_text(LAYERS)
    for name in TAKEN:
        (path / f"{name}.py").write_text(f"raise SystemExit('this is not {name}')\n")
    return path


def run_script(folder: Path, at: Path, *arguments: object) -> str:
    """Run the console script in a folder, and return what it said."""
    script = folder / "bin" / "hybridmpi"
    script.parent.mkdir(exist_ok=True)
    script.write_text(SCRIPT)
    line = [sys.executable, str(script), *map(str, arguments)]
    ended = subprocess.run(
        line, cwd=at, capture_output=True, text=True, timeout=120, check=False, env=os.environ
    )
    assert ended.returncode == 0, ended
    return ended.stdout


def test_modules_and_threads_are_the_users_however_the_command_is_started(
    ranks: Any, folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: Any
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    launch = ("launch", "-n", 2, "job.toml", *OPTIONS)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    run_script(folder, folder, *launch)
    run = ranks.read()
    threads = {run.attributes[name] for name in ("torch_threads", "server_threads")}
    assert (run.status, threads) == ("complete", {2})
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert "every bit is as recorded" in run_script(folder, elsewhere, "replay", ranks.run_file)
