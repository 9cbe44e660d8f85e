from pathlib import Path

import pytest

from hybridmpi.errors import UserError
from hybridmpi.learning.static_check import check_function

SOURCE = """
raise SystemExit("this code is not to run")

from os.path import join as joined

def build(): ...

class Net: ...

if joined:
    net = lambda shape, classes: None
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    (tmp_path / "looked_at.py").write_text(SOURCE)
    package = tmp_path / "package_looked_at"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("1 / 0")
    (package / "inner" / "nets.py").write_text("def build(): ...")
    return tmp_path


@pytest.mark.parametrize(
    "path",
    [
        *("looked_at:build", "looked_at:Net", "looked_at:net", "looked_at:joined"),
        "package_looked_at.inner.nets:build",
    ],
)
def test_function_is_found_without_running_its_module(path: str) -> None:
    check_function(path, "model.name")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("looked_at:biuld", r"looked_at\.py has no function 'biuld'; did you mean 'build'"),
        ("looked_et:build", "looked_et can't be found from"),
        ("package_looked_at.outer.nets:build", r"package_looked_at\.outer can't be found"),
        ("looked_at.nets:build", r"looked_at\.nets can't be found"),
        ("looked_at", r"must be of the form package\.module:function"),
        ("random:choice", "random is Python's own"),
        ("broken:build", "is no Python: invalid syntax"),
    ],
)
def test_what_cannot_be_found_is_refused(folder: Path, path: str, told: str) -> None:
    (folder / "broken.py").write_text("def build(:")
    with pytest.raises(UserError, match=told):
        check_function(path, "model.name")


@pytest.mark.parametrize(
    "source",
    [
        "from nets import *",
        "globals()['build'] = print",
        "def __getattr__(name): ...",
        "def make():\n    global build\n    build = print\nmake()",
    ],
)
def test_in_doubt_the_function_is_there(folder: Path, source: str) -> None:
    (folder / "doubtful.py").write_text(source)
    check_function("doubtful:build", "model.name")
