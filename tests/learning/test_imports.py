import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hybridmpi.errors import UserError
from hybridmpi.learning import imports
from hybridmpi.learning.imports import import_function, is_private

SOURCE = "def build():\n    return 7\n\nnumber = 3\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.setattr(imports, "_current", [])  # which an earlier test may have left
    return tmp_path


def test_function_in_the_current_folder_is_found_behind_all_other_modules(folder: Path) -> None:
    (folder / "own_code_a.py").write_text(SOURCE)
    before = list(sys.path)
    assert import_function("own_code_a:build", "model")() == 7
    assert sys.path == [*before, str(folder)]


def test_what_the_function_imports_when_it_runs_is_found_in_threads_too(folder: Path) -> None:
    (folder / "own_code_late.py").write_text(
        "def build():\n    import own_code_a2 as a\n    return a.build()\n"
    )
    (folder / "own_code_a2.py").write_text(SOURCE)
    function = import_function("own_code_late:build", "model")
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(function).result() == 7


def test_only_the_current_folder_is_looked_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "own_code_f.py").write_text(SOURCE)
    import_function("own_code_f:build", "model")
    (folder / "other").mkdir()
    monkeypatch.chdir(folder / "other")
    (folder / "other" / "own_code_g.py").write_text(SOURCE)
    import_function("own_code_g:build", "model")
    assert [path for path in sys.path if path.startswith(str(folder))] == [str(folder / "other")]


def test_file_with_the_name_of_an_installed_module_is_told_of(folder: Path) -> None:
    (folder / "colorsys.py").write_text(SOURCE)
    (folder / "click.py").write_text(SOURCE)
    with pytest.raises(UserError, match=r"colorsys is Python's own; .* rename colorsys\.py"):
        import_function("colorsys:build", "model")
    with pytest.raises(UserError, match=r"click.__init__\.py .* before your click\.py; rename"):
        import_function("click:build", "model")
    (folder / "own_code_e.py").write_text("from click import build\n")
    with pytest.raises(UserError, match=r"click\.py has the name of another module"):
        import_function("own_code_e:build", "model")


def test_folders_of_others_are_not_private(folder: Path) -> None:
    folder.chmod(0o755)
    assert is_private(folder)
    folder.chmod(0o777)
    assert not is_private(folder)
    assert not is_private(folder / "missing")


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
