import sys
from pathlib import Path

import pytest

from hybridmpi.errors import UserError
from hybridmpi.learning.imports import import_function

SOURCE = "def build():\n    return 7\n\nnumber = 3\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def test_function_in_the_current_folder_is_found_and_path_left_as_it_was(folder: Path) -> None:
    (folder / "own_code_a.py").write_text(SOURCE)
    before = list(sys.path)
    assert import_function("own_code_a:build", "model")() == 7
    assert sys.path == before


@pytest.mark.parametrize(
    "path", ["own_code_a", "own_code_a:", ":build", "own code:build", "a.py:b-c"]
)
def test_other_form_is_refused(path: str) -> None:
    with pytest.raises(UserError, match=r"model is '.*package\.module:function"):
        import_function(path, "model")


@pytest.mark.parametrize("path", ["os:system", "subprocess:run", "antigravity:fly"])
def test_pythons_own_modules_are_not_imported(path: str) -> None:
    with pytest.raises(UserError, match="is Python's own; name a function of yours"):
        import_function(path, "data")
    assert "antigravity" not in sys.modules


def test_missing_module_names_the_folder(folder: Path) -> None:
    with pytest.raises(UserError, match=f"nowhere_at_all can't be found from {folder}"):
        import_function("nowhere_at_all:build", "model")


def test_missing_function_is_answered_with_the_nearest(folder: Path) -> None:
    (folder / "own_code_b.py").write_text(SOURCE)
    with pytest.raises(UserError, match="no function 'biuld'; did you mean 'build'"):
        import_function("own_code_b:biuld", "data")


def test_value_that_is_no_function_is_refused(folder: Path) -> None:
    (folder / "own_code_c.py").write_text(SOURCE)
    with pytest.raises(UserError, match="not a function but int; name a function"):
        import_function("own_code_c:number", "data")


def test_exception_in_the_module_is_told(folder: Path) -> None:
    (folder / "own_code_d.py").write_text("1 / 0\n")
    with pytest.raises(UserError, match="importing own_code_d raised ZeroDivisionError"):
        import_function("own_code_d:build", "data")
