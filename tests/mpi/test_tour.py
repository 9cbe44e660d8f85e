"""docs/tour.ipynb, executed as a reader would."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hybridmpi.errors import UserError
from hybridmpi.launcher import matching_mpirun

TOUR = Path(__file__).parents[2] / "docs" / "tour.ipynb"
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def outputs(path: Path) -> list[Any]:
    """Return what the cells of a notebook show, as far as it is data."""
    cells = json.loads(path.read_text())["cells"]
    return [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]


def test_tour_can_be_taken(tmp_path: Path) -> None:
    try:
        matching_mpirun()
    except UserError as error:
        pytest.skip(f"no MPI: {error}")
    taken = tmp_path / "taken.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, TOUR, taken],
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = outputs(taken)
    assert sum("image/png" in data for data in shown) == 1
    texts = ["".join(data.get("text/plain", [])) for data in shown]
    assert any(text.startswith("(True, ") for text in texts)  # the simulated run's replay
    assert texts[-1] == "True"  # the replay of the ranks' run


def test_tour_shows_what_came_out() -> None:
    assert sum("image/png" in data for data in outputs(TOUR)) == 1
