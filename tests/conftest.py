import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybridmpi.runlog.schema import GRADIENTS, STEPS
from hybridmpi.runlog.writer import RunWriter

LAYOUT = {
    "num_parameters": 6,
    "size": 7,
    "entries": [
        {"name": "w", "shape": [2, 3], "offset": 0, "dtype": "float32", "is_parameter": True},
        {"name": "seen", "shape": [], "offset": 6, "dtype": "int64", "is_parameter": False},
    ],
}
CONFIG = {
    "run": {"seed": 3},
    "method": {"preset": "hybrid", "aggregation": "mean"},
    "data": {"dataset": "digits", "batch_size": 32},
    "model": {"name": "lenet"},
}


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., RunWriter]:
    """Return a function that begins a run file of two workers and 7 parameters."""

    def create(path: Path = tmp_path / "run.h5", **changes: Any) -> RunWriter:
        settings: dict[str, Any] = {
            "config": CONFIG,
            "attributes": {"torch_version": "2.5", "hosts": "zürich"},
            "layout_json": json.dumps(LAYOUT),
            "size": 7,
            "workers": [(1, "zürich", "cpu", 900, False), (2, "zürich", "cuda:0", 897, True)],
        }
        return RunWriter.create(path, **(settings | changes))

    return create


@pytest.fixture
def small_run(new_run: Callable[..., RunWriter]) -> Path:
    """Return the file of a complete run: 5 pushes, of which 3 in 2 steps, and 3 evaluations."""
    writer = new_run()
    rows = [
        (1.0, 1, 0, 0, 0, True, 1.0, 1, 2.5, 32, 0.9, 0.0, 0.01, 0),
        (8.0, 2, 0, 0, 1, True, 0.5, 2, 2.0, 32, 7.0, 0.0, 0.01, 0),
        (9.0, 2, 1, 0, 1, False, 0.0, -1, float("nan"), 32, 1.0, 0.5, 0.01, 0),
        (12.0, 1, 1, 1, 0, True, 0.5, 2, 1.0, 32, 8.0, 3.0, 0.01, 0),
        (29.0, 1, 2, 2, 0, True, 0.0, -1, 0.5, 32, 14.0, 3.0, 0.01, 0),
    ]
    writer.append(GRADIENTS, GRADIENTS.to_array(rows))
    steps = [(1.0, 1, 1, 1, 0.01, 0.0, 0, 2.5), (12.0, 2, 2, 2, 0.01, 0.5, 1, 1.5)]
    writer.append(STEPS, STEPS.to_array(steps))
    writer.event(9.0, "non-finite", 2, "loss NaN", 3)
    for time_s, version, accuracy in ((0.0, 0, 0.1), (10.0, 1, 0.5), (30.0, 2, 0.6)):
        writer.evaluation(
            time_s,
            version,
            version * 0.1,
            {"train_loss": 2.0 - accuracy, "test_loss": 2.5 - accuracy, "test_accuracy": accuracy},
        )
    writer.final(np.array([0, 1, 2, 3, 4, 5, 41.0], np.float32), 2)
    writer.close("complete", duration_s=30.0)
    return writer.path


@pytest.fixture
def write_run(new_run: Callable[..., RunWriter]) -> Callable[..., Path]:
    """Return a function that writes a run; hybrid is the better by 2 points and 0.1 per seed."""

    def write(
        path: Path,
        preset: str,
        seed: int,
        *,
        end_s: float = 10.0,
        status: str = "complete",
        engine: str = "simulate",
    ) -> Path:
        run, method = {"seed": seed}, {"preset": preset, "aggregation": "mean"}
        config = CONFIG | {"run": run, "method": method}
        writer = new_run(path, config=config, attributes={"engine": engine})
        gain = 0.02 + 0.001 * seed if preset == "hybrid" else 0.0
        for time_s in (0.0, end_s / 2, end_s):
            writer.evaluation(
                time_s,
                0,
                0.0,
                {
                    "train_loss": 2.0 - gain,
                    "test_loss": 2.0 - gain,
                    "test_accuracy": 0.6 + 0.01 * seed + gain,
                },
            )
        if status == "running":
            writer.flush()
        else:
            writer.close(status, duration_s=end_s, bytes_sent=1000)
        return path

    return write


@pytest.fixture
def compared_runs(write_run: Callable[..., Path], tmp_path: Path) -> Path:
    """Return a folder with runs of `async` and `hybrid`, of three seeds."""
    for preset in ("async", "hybrid"):
        for seed in range(3):
            write_run(tmp_path / "runs" / f"{preset}-{seed}.h5", preset, seed)
    return tmp_path / "runs"


@pytest.fixture
def write_plan() -> Callable[..., None]:
    """Return a function that writes the plan of these runs, as `hybridmpi compare` does."""

    def write(folder: Path, seeds: int = 3) -> None:
        places = [
            {"variant": preset, "cell": {}, "seed": seed, "file": f"runs/{preset}-{seed}.h5"}
            for preset in ("async", "hybrid")
            for seed in range(seeds)
        ]
        targets = {"test_accuracy": [0.6]}
        question = {"reference": "async", "variants": ["hybrid"], "targets": targets}
        content = {"experiment": {"tune": None}, "question": question, "places": places}
        (folder / "plan.json").write_text(json.dumps(content))

    return write


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str, int], Path]]:
    """Return a function that mounts a disk of so many bytes in this test's folder."""
    mounted: list[Path] = []

    def mount(name: str, num_bytes: int) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        if os.geteuid() != 0:
            pytest.skip("only root may mount a small disk")
        line = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(folder)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def h5dump_rows() -> Callable[[Path, str], list[list[Any]]]:
    """Return a function that has h5dump print a table, and returns its rows."""
    if shutil.which("h5dump") is None:
        pytest.skip("h5dump is not installed")

    def value(text: str) -> Any:
        if text.startswith('"'):
            # Each byte beyond ASCII is printed as a negative integer of 32 bits, in octal.
            escaped = re.sub(r"\\(3\d{10})", lambda octal: chr(int(octal[1], 8) & 255), text[1:-1])
            return escaped.encode("latin-1").decode()
        return {"TRUE": True, "FALSE": False}.get(text) if text.isupper() else float(text)

    def rows(path: Path, table: str) -> list[list[Any]]:
        line = ["h5dump", "-d", table, "-y", "-w", "0", "-m", "%.17g", path]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        data = re.search(r"^   DATA \{\n(.*?)^   \}$", done.stdout, re.MULTILINE | re.DOTALL)
        assert data, done.stdout
        found = re.findall(r"^ *\{\n(.*?)^ *\},?$", data[1], re.MULTILINE | re.DOTALL)
        return [
            [value(each.strip().removesuffix(",")) for each in row.splitlines()] for row in found
        ]

    return rows
