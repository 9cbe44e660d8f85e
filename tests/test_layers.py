import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "hybridmpi"

# Which parts of the package may import which: the table of docs/design.md.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "core": set(),
    "resources": {"errors"},
    "environment": set(),
    "paths": {"errors"},
    "text_files": {"errors"},
    "launcher": {"environment", "errors"},
    "guard": set(),
    "relay": set(),
    "supervise": {"guard", "launcher", "relay"},
    "launched": {"supervise", "launcher", "runlog", "errors"},
    "started": {"environment", "errors"},
    "slurm": {"launcher", "started", "environment", "errors"},
    "config": {"core", "paths", "text_files", "errors"},
    "runlog": {"core", "errors"},
    "checkpoints": {"runlog", "errors"},
    "learning": {"core", "errors"},
    "transport": {"core", "errors"},
    "engines": {
        "transport",
        "checkpoints",
        "runlog",
        "learning",
        "config",
        "core",
        "resources",
        "environment",
        "text_files",
        "errors",
    },
    "experiments": {
        *("engines", "runlog", "config", "core", "launcher", "launched", "resources"),
        *("environment", "errors"),
    },
    "doctor": {"runlog", "launcher", "supervise", "resources", "environment", "errors"},
    "cli": {
        *("experiments", "engines", "checkpoints", "runlog", "config", "core"),
        *("doctor", "launcher", "launched", "supervise", "slurm", "started", "resources"),
        *("paths", "errors"),
    },
    "api": {
        *("cli", "experiments", "engines", "learning", "runlog", "config", "resources", "errors"),
    },
    "__main__": {"cli"},
    "__init__": {"api", "config", "learning", "errors"},
}
POOL = "experiments/pool.py"  # runs of an experiment on the ranks of mpi4py.futures
WITHOUT_TORCH = {
    "errors",
    "core",
    "environment",
    "paths",
    "text_files",
    "resources",
    "launcher",
    "guard",
    "relay",
    "supervise",
    "launched",
    "started",
    "config",
    "runlog",
}
WITHOUT_TORCH |= {"slurm", "experiments", "cli", "__init__", "__main__"}


@dataclass(frozen=True)
class Import:
    """One imported module, and where it is imported."""

    file: str
    layer: str
    module: str
    is_inside_function: bool

    @property
    def package(self) -> str:
        return self.module.split(".")[0]


def imports_of(path: Path) -> Iterator[Import]:
    file = path.relative_to(SOURCE)
    tree = ast.parse(path.read_text())
    functions = [
        node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    inside = {node for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        for module in imported_modules(node):
            yield Import(str(file), Path(file.parts[0]).stem, module, node in inside)


def imported_modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        # The names count too: each may be a module of its own.
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


IMPORTS = [found for path in sorted(SOURCE.rglob("*.py")) for found in imports_of(path)]


def layer_of(module: str) -> str:
    """Return the part that holds a module or a name of this package."""
    name = module.split(".")[1]
    return name if (SOURCE / name).is_dir() or (SOURCE / f"{name}.py").is_file() else "__init__"


def test_imports_are_found() -> None:
    assert Import("core/threshold.py", "core", "math", False) in IMPORTS
    assert Import("cli/train.py", "cli", "mpi4py.MPI", True) in IMPORTS
    home = "hybridmpi.api.run.read_run"
    assert Import("__init__.py", "__init__", home, False) in IMPORTS


def test_every_part_has_its_place() -> None:
    assert {found.layer for found in IMPORTS} <= MAY_IMPORT.keys()


def test_no_part_imports_itself_by_way_of_others() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()  # raises CycleError


def test_imports_point_downwards() -> None:
    upwards = [
        f"{found.file} imports {found.module}"
        for found in IMPORTS
        if found.package == "hybridmpi"
        and layer_of(found.module) not in {found.layer, "__init__", *MAY_IMPORT[found.layer]}
    ]
    assert upwards == []


def test_package_itself_gives_only_its_version_to_the_parts() -> None:
    names = {i.module for i in IMPORTS if i.package == "hybridmpi" and layer_of(i.module)[0] == "_"}
    assert names == {"hybridmpi.__version__"}


def test_core_imports_the_standard_library_and_numpy_only() -> None:
    allowed = sys.stdlib_module_names | {"numpy", "hybridmpi"}
    assert [i for i in IMPORTS if i.layer == "core" and i.package not in allowed] == []


def test_mpi_is_imported_where_ranks_talk_only() -> None:
    elsewhere = [
        found
        for found in IMPORTS
        if found.package == "mpi4py"
        and not found.file.startswith(("transport/", "engines/mpi/"))
        and not (found.file in {"cli/train.py", POOL} and found.is_inside_function)
    ]
    assert elsewhere == []


def test_experiments_import_engines_only_where_they_run_them() -> None:
    at_once = [
        f"{found.file} imports {found.module}"
        for found in IMPORTS
        if found.layer == "experiments"
        and found.module.startswith("hybridmpi.engines")
        and not found.is_inside_function
        and "Status" not in found.module
    ]
    assert at_once == []


def test_torch_is_imported_by_what_computes_only() -> None:
    assert [i for i in IMPORTS if i.layer in WITHOUT_TORCH and i.package == "torch"] == []


def test_hdf5_reads_files_in_a_process_of_its_own() -> None:
    assert {i.file for i in IMPORTS if i.package == "h5py" and not i.is_inside_function} == {
        "runlog/file_format.py",
        "runlog/reading/run_file.py",
        "runlog/reading/stored.py",
    }
    inside = ("hybridmpi.runlog.reading.run_file", "hybridmpi.runlog.reading.stored")
    assert {
        i.file for i in IMPORTS if f"{i.module}.".startswith(tuple(f"{m}." for m in inside))
    } == {"runlog/reading/program.py"}


def test_help_imports_nothing_slow() -> None:
    slow = {"torch", "torchvision", "pandas", "matplotlib", "mpi4py.MPI", "pydantic", "h5py"}
    imported = modules_after("-X", "importtime", "-m", "hybridmpi", "--help")
    assert "click" in imported
    assert slow & imported == set()


@pytest.mark.parametrize(
    "modules",
    [
        "hybridmpi.learning.gradients, hybridmpi.learning.models, hybridmpi.learning.batches",
        "hybridmpi.engines.mpi.worker",
        "hybridmpi.cli.train, hybridmpi.engines.mpi.train",
    ],
)
def test_rank_imports_nothing_that_it_does_not_need(modules: str) -> None:
    script = f"import mpi4py; mpi4py.rc.initialize = False; import {modules}"
    imported = modules_after("-X", "importtime", "-c", script)
    assert "torch" in imported
    unneeded = {"torchvision", "pandas", "matplotlib", "sklearn", "scipy", "rich", "h5py"}
    assert (unneeded | {"torch._dynamo"}) & imported == set()


def modules_after(*arguments: str) -> set[str]:
    """Return what a Python process imported, as `-X importtime` lists it."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}
