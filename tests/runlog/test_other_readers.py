"""Programs of other people read run files: h5dump and h5ls of HDF5 1.10, PyTables, R, Octave."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hybridmpi import read_run
from hybridmpi.config.load import load_job
from hybridmpi.core.metrics import CLASSIFICATION
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.errors import UserError
from hybridmpi.runlog import file_format
from hybridmpi.runlog.closed_copy import save_closed_copy
from hybridmpi.runlog.matlab import save_mat
from hybridmpi.runlog.reading.damage import damage_told
from hybridmpi.runlog.run import Run
from hybridmpi.runlog.schema import SNAPSHOTS, tables_with
from hybridmpi.runlog.writer import RunWriter

TABLES = tables_with(CLASSIFICATION)
JOBS = Path(__file__).parents[2] / "jobs"
# Writes what another run file holds, and is killed before it closes its own.
KILLED = """
import os, sys
from pathlib import Path
import h5py
from hybridmpi import read_run
from hybridmpi.runlog import closed_copy
from hybridmpi.runlog.schema import LOGS
from hybridmpi.runlog.writer import RunWriter

run = read_run(sys.argv[1])
with h5py.File(sys.argv[1]) as file:
    layout = file.attrs["layout"]
writer = RunWriter.create(
    sys.argv[2], config=run.config, attributes={"engine": "simulate"}, layout_json=layout,
    size=run.layout["size"], workers=list(run.workers.itertuples(index=False)), keep_snapshots=True,
)
for table in LOGS:
    rows = closed_copy.rows_of(table, getattr(run, table.name))
    for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        writer.append(table, half)
        writer.flush()
writer.snapshot(0.0, 0, run.final)
os.kill(os.getpid(), 9)
"""
PYTABLES = """
import json, sys, tables

def plain(value):
    value = value.tolist() if hasattr(value, "tolist") else value
    return value.decode() if isinstance(value, bytes) else value

with tables.open_file(sys.argv[1]) as file:
    found = {
        node._v_pathname[1:]: [[plain(value) for value in row] for row in node[:].tolist()]
        for node in file.walk_nodes("/", "Table")
    }
    found["final"] = file.root.final[:].tolist()
    attributes = {name: plain(file.root._v_attrs[name]) for name in file.root._v_attrs._f_list()}
print(json.dumps([found, attributes]))
"""
R = """
suppressMessages(library(rhdf5))
path <- commandArgs(TRUE)[1]
gradients <- h5read(path, "gradients", bit64conversion = "double")
cat(sum(gradients$time_s), sum(gradients$step), sum(gradients$accepted == "TRUE"), "\\n")
cat(h5read(path, "workers")$host[1], h5readAttributes(path, "/")$status, "\\n")
"""
OCTAVE = """
run = load("{}");
printf("%.17g %d %d\\n", sum(run.gradients.time_s), sum(run.gradients.step), \
sum(run.gradients.accepted));
printf("%s %s\\n", run.workers.host{{1}}, run.attributes.status);
"""
SETTINGS = (
    *("model.name=lenet", "data.dataset=digits", "simulate.workers=3", "run.keep_snapshots=true"),
    *("run.time_limit_s=", "run.gradient_limit=30", "evaluation.every_s=1"),
)


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def output(*line: str | Path) -> str:
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a simulated run that kept snapshots."""
    path = tmp_path_factory.mktemp("simulated") / "run.h5"
    Simulation(load_job(JOBS / "simulate.toml", list(SETTINGS))).run(path)
    return path


@pytest.fixture(scope="module")
def killed(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of the same run, killed before it closed the file."""
    path = tmp_path_factory.mktemp("killed") / "run.h5"
    line = [sys.executable, "-c", KILLED, simulated, path]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr
    return path


@pytest.fixture(params=["simulated", "small", "cleared", "copied", "older"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a closed file: of two runs, of a killed one, mended or copied, or of an older one."""
    if request.param in ("simulated", "small"):
        name = {"simulated": "simulated", "small": "small_run"}[request.param]
        found: Path = request.getfixturevalue(name)
        return found
    target = tmp_path / "copy.h5"
    if request.param == "cleared":
        needs("h5clear")
        shutil.copyfile(request.getfixturevalue("killed"), target)
        output("h5clear", "-s", target)
    else:
        source = request.getfixturevalue("killed" if request.param == "copied" else "older")
        save_closed_copy(read_run(source), target)
    return target


@pytest.fixture
def older(small_run: Path) -> Path:
    """Return a run file as it was written at first: in the newest format, with text in ASCII."""
    older = small_run.with_name("older.h5")
    with h5py.File(small_run) as file, h5py.File(older, "w", libver="latest") as copy:
        for name in (*(table.name for table in TABLES), "final"):
            rows = file[name][()]
            plain = np.array(rows.tolist(), {t.name: t.dtype for t in TABLES}.get(name, "f4"))
            copy.create_dataset(name, data=plain, maxshape=(None,), chunks=(100,))
            copy[name].attrs.update(file[name].attrs)
        for name, value in file.attrs.items():
            copy.attrs[name] = np.array(bytes(value)) if isinstance(value, bytes) else value
    return older


def rows_of(run: Run) -> dict[str, list[list[Any]]]:
    tables = {table.name: getattr(run, table.name) for table in TABLES}
    tables |= {SNAPSHOTS.name: run.snapshots} if len(run.snapshots) else {}
    return {
        name: [list(row) for row in rows.itertuples(index=False)] for name, rows in tables.items()
    }


def assert_same(found: list[list[Any]], expected: list[list[Any]]) -> None:
    """Compare rows: numbers exactly, NaN equal to NaN."""
    assert len(found) == len(expected)
    for ours, theirs in zip(expected, found, strict=True):
        assert len(ours) == len(theirs)
        for own, their in zip(ours, theirs, strict=True):
            assert own == their or (own != own and their != their), (ours, theirs)  # noqa: PLR0124


def test_h5dump_prints_every_row(path: Path, h5dump_rows: Callable[[Path, str], Any]) -> None:
    for name, expected in rows_of(read_run(path)).items():
        assert_same(h5dump_rows(path, name), expected)


def test_h5dump_prints_every_attribute(path: Path) -> None:
    needs("h5dump")
    printed = output("h5dump", "-A", "-w", "0", path)
    printed = printed[: printed.index("DATASET")]
    found = dict(re.findall(r'ATTRIBUTE "(\w+)" \{.*?\(0\): (.*?)\n', printed, re.DOTALL))
    run = read_run(path)
    expected = {**run.attributes, "status": run.status, "config": json.dumps(run.config)}
    for name, value in expected.items():
        if isinstance(value, str):  # of text beyond ASCII h5dump prints escapes
            assert found[name] == f'"{value}"' or "zürich" in value, name
        else:
            assert float(found[name]) == pytest.approx(value, rel=1e-5), name
    assert json.loads(found["layout"][1:-1]) == run.layout


def test_h5ls_lists_every_table_with_its_rows(path: Path) -> None:
    needs("h5ls")
    listed = dict(re.findall(r"^/(\S+) +Dataset \{(\d+)", output("h5ls", "-r", path), re.MULTILINE))
    run = read_run(path)
    counts = {name: len(rows) for name, rows in rows_of(run).items()}
    assert {name: int(listed[name]) for name in counts} == counts
    assert int(listed["final"]) == run.layout["size"]


def test_pytables_reads_every_table_and_attribute(path: Path) -> None:
    if importlib.util.find_spec("tables") is None:
        pytest.skip("PyTables (the package tables) is not installed")
    # In a process of its own: it brings an HDF5 of its own.
    tables, attributes = json.loads(output(sys.executable, "-c", PYTABLES, path))
    run = read_run(path)
    for name, expected in rows_of(run).items():
        assert_same(tables[name], expected)
    if run.final is not None:
        assert tables["final"] == run.final.tolist()
    assert attributes["status"] == run.status
    assert json.loads(attributes["config"]) == run.config
    assert json.loads(attributes["layout"]) == run.layout
    for name, value in run.attributes.items():
        assert attributes[name] == value


@pytest.mark.parametrize("path", ["simulated", "small"], indirect=True)
def test_r_reads_tables_and_attributes(path: Path) -> None:
    needs("Rscript")
    if "TRUE" not in output("Rscript", "-e", "cat(requireNamespace('rhdf5', quietly = TRUE))"):
        pytest.skip("R's package rhdf5 is not installed")
    sums, texts = output("Rscript", "-e", R, path).splitlines()
    run = read_run(path)
    gradients = run.gradients
    expected = [gradients.time_s.sum(), gradients.step.sum(), gradients.accepted.sum()]
    assert [float(number) for number in sums.split()] == pytest.approx(expected, rel=1e-6)
    assert texts.split() == [run.workers.host[0], run.status]


@pytest.mark.parametrize("path", ["simulated", "small"], indirect=True)
def test_octave_reads_the_exported_tables(path: Path, tmp_path: Path) -> None:
    needs("octave-cli")
    run = read_run(path)
    save_mat(run, tmp_path / "run.mat")
    printed = output("octave-cli", "--quiet", "--eval", OCTAVE.format(tmp_path / "run.mat"))
    sums, texts = printed.splitlines()
    gradients = run.gradients
    expected = [gradients.time_s.sum(), gradients.step.sum(), gradients.accepted.sum()]
    assert [float(number) for number in sums.split()] == pytest.approx(expected, rel=1e-12)
    assert texts.split() == [run.workers.host[0].replace("ü", r"\xfc"), run.status]


@pytest.mark.parametrize("state", ["killed", "live"])
def test_file_that_is_not_closed_is_refused_by_others_and_read_by_h5py(
    state: str, request: pytest.FixtureRequest, new_run: Callable[..., RunWriter]
) -> None:
    needs("h5dump")
    writer = new_run()
    path = request.getfixturevalue("killed") if state == "killed" else writer.path
    done = subprocess.run(["h5dump", "-H", path], capture_output=True, text=True, check=False)
    assert "unable to open file" in done.stderr
    read = (
        "import h5py, sys; print(len(h5py.File(sys.argv[1], swmr=True, locking=False)['workers']))"
    )
    assert int(output(sys.executable, "-c", read, path)) == len(read_run(path).workers)


def test_closed_copy_holds_the_same_run(simulated: Path, tmp_path: Path) -> None:
    save_closed_copy(read_run(simulated), tmp_path / "copy.h5")
    ours, copy = read_run(simulated), read_run(tmp_path / "copy.h5")
    assert (copy.status, copy.config, copy.layout) == (ours.status, ours.config, ours.layout)
    assert copy.attributes == ours.attributes
    for table in TABLES:
        assert getattr(copy, table.name).equals(getattr(ours, table.name))
    assert copy.snapshots.equals(ours.snapshots)
    assert copy.final is not None
    assert ours.final is not None
    assert copy.final.tobytes() == ours.final.tobytes()
    for version in ours.snapshots.version:
        assert copy.snapshot(version).tobytes() == ours.snapshot(version).tobytes()


def test_copy_of_a_killed_run_says_that_it_was_running(killed: Path, tmp_path: Path) -> None:
    save_closed_copy(read_run(killed), tmp_path / "copy.h5")
    copy = read_run(tmp_path / "copy.h5")
    assert (copy.status, copy.final, len(copy.gradients)) == ("running", None, 30)


def test_older_file_is_read(older: Path, small_run: Path) -> None:
    run = read_run(older)
    assert run.gradients.equals(read_run(small_run).gradients)
    assert run.workers.host.tolist() == ["zürich", "zürich"]


def test_newer_format_than_hdf5_reads_is_named_with_a_way_out(small_run: Path) -> None:
    words = r"newer format .*; update h5py, .*hybridmpi export"
    error = OSError("Unable to synchronously open object (bad version number for datatype message)")
    with pytest.raises(UserError, match=words), damage_told(small_run):
        raise error


def test_files_are_in_the_format_of_hdf5_1_10(tmp_path: Path) -> None:
    with file_format.create(tmp_path / "run.h5") as file:
        assert file.libver == ("v110", "v110")
    with file_format.reopen(tmp_path / "run.h5") as file:
        assert file.libver == ("v110", "v110")
