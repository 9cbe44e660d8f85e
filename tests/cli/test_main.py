import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import click
import pytest
from click.testing import CliRunner, Result

from hybridmpi import __version__
from hybridmpi.cli import COMMANDS, main
from hybridmpi.errors import RunFailed, UserError

NEEDED_BY_HELP = {"click", "hybridmpi"}


def run_show(monkeypatch: pytest.MonkeyPatch, body: Callable[[], None]) -> Result:
    module = ModuleType("hybridmpi.cli.show")
    module.show = click.command("show")(body)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return CliRunner().invoke(main, ["show"])


def raises(error: Exception) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


def test_help_lists_all_commands_and_imports_none() -> None:
    code = (
        "import sys; before = set(sys.modules); from hybridmpi.cli import main;"
        "main(['--help'], standalone_mode=False); print('LOADED', *(set(sys.modules) - before))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    shown, _, loaded = run.stdout.partition("LOADED")
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    packages = {module.partition(".")[0] for module in loaded.split()}
    assert packages - sys.stdlib_module_names == NEEDED_BY_HELP
    assert not {f"hybridmpi.cli.{name}" for name in COMMANDS} & set(loaded.split())


def test_command_is_found_in_the_module_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_show(monkeypatch, lambda: click.echo("shown"))
    assert (result.exit_code, result.stdout) == (0, "shown\n")


def test_unknown_command_brings_the_nearest() -> None:
    result = CliRunner().invoke(main, ["lanch"])
    assert result.exit_code == 2
    assert "no command 'lanch'; did you mean 'launch'?" in result.stderr


def test_user_error_is_a_message_and_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_show(monkeypatch, raises(UserError("threshold is 0, but must be at least 1")))
    assert result.exit_code == 2
    assert result.stderr == "Error: threshold is 0, but must be at least 1\n"


def test_failed_run_is_a_message_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_show(monkeypatch, raises(RunFailed("worker 3 ended")))
    assert (result.exit_code, result.stderr) == (1, "Error: worker 3 ended\n")


def test_other_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_show(monkeypatch, raises(ZeroDivisionError()))
    assert isinstance(result.exception, ZeroDivisionError)


def test_module_is_the_same_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "hybridmpi", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout == f"hybridmpi {__version__}\n"
