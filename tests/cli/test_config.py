import tomllib
from pathlib import Path

import pytest
from click import unstyle
from click.testing import CliRunner, Result

from hybridmpi.cli import main
from hybridmpi.config import load_job


@pytest.fixture
def job(tmp_path: Path) -> str:
    path = tmp_path / "job.toml"
    path.write_text("run.time_limit_s = 3\nmethod.preset = 'sync'")
    return str(path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments])


def test_output_is_the_job_with_what_was_set(job: str, tmp_path: Path) -> None:
    result = invoke(job, "--set", "run.seed=7", "--set", "method.preset=async")
    assert result.exit_code == 0
    again = tmp_path / "again.toml"
    again.write_text(result.stdout)
    assert load_job(again) == load_job(Path(job), ["run.seed=7", "method.preset=async"])


def test_terminal_gets_the_same_text_in_colour(job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "70")
    text = invoke(job).stdout
    assert "\x1b[" in text
    plain = unstyle(text)
    assert max(map(len, plain.splitlines())) <= 70
    assert tomllib.loads(plain)["run"]["time_limit_s"] == 3.0


def test_mistake_is_told_with_exit_code_2(job: str) -> None:
    result = invoke(job, "--set", "run.sed=7")
    assert result.exit_code == 2
    assert result.stderr == f"Error: {job}: run.sed: unknown field; did you mean 'seed'?\n"
    assert result.stdout == ""
