"""What is printed for rich can be copied, and found by `grep`, however long a path is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.table import Table
from rich.text import Text

from hybridmpi.cli import console, main
from hybridmpi.cli import doctor as doctor_module
from hybridmpi.doctor.check import problem
from hybridmpi.experiments.document import Document, Note
from hybridmpi.experiments.report.terminal import outline
from hybridmpi.runlog.writer import RunWriter

LONG = Path("/scratch") / "/".join(["a-folder-of-somebody"] * 12)
PROSE = "one two three four five six seven eight nine ten eleven twelve"


def lines(*arguments: Path | str, exit_code: int = 0) -> list[str]:
    result = CliRunner(env={"COLUMNS": "50"}).invoke(main, [str(word) for word in arguments])
    assert result.exit_code == exit_code, result.output
    return [line.rstrip() for line in result.stdout.splitlines()]


def test_show_names_the_run_file_in_one_line(
    new_run: Callable[..., RunWriter], tmp_path: Path
) -> None:
    folder = tmp_path / "/".join(["a-folder-of-somebody"] * 6)
    folder.mkdir(parents=True)
    writer = new_run(folder / "run.h5", config={"model": {"name": f"{'m' * 90}:net"}})
    writer.close("complete", duration_s=1.0)
    printed = lines("show", writer.path)
    assert printed[0] == str(writer.path)
    assert any(line.endswith(f"{'m' * 90}:net") for line in printed)
    assert printed[-1] == f"wrote {writer.path.with_suffix('.png')}"


def test_doctor_names_a_path_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    check = problem("output", f"{LONG} is read-only", f"name another folder than {LONG}")
    monkeypatch.setattr(doctor_module, "diagnose", lambda *_: iter([check]))
    printed = lines("doctor", exit_code=1)
    assert any(line.endswith(f"  {LONG} is read-only") for line in printed)
    assert any(line.endswith(f"  → name another folder than {LONG}") for line in printed)


@pytest.mark.parametrize("err", [False, True])
def test_nothing_is_wrapped_outside_a_terminal(
    capsys: pytest.CaptureFixture[str], err: bool
) -> None:
    table = Table("name", "path")
    table.add_row("a", str(LONG))
    console.show(Text(f"{PROSE} {LONG}"), table, err=err)
    printed = capsys.readouterr()[err]
    assert printed.splitlines()[0] == f"{PROSE} {LONG}"
    assert printed.count(str(LONG)) == 2


def test_a_report_in_a_terminal_is_wrapped_between_words_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = {"TERM": "xterm", "FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "40"}
    for name, value in terminal.items():
        monkeypatch.setenv(name, value)
    console.show(outline(Document("title", (Note(f"{PROSE} {LONG}"),), ())))
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == str(LONG)
    assert " ".join(printed[1:-1]) == PROSE
    assert max(map(len, printed[:-1])) <= 40
