import subprocess
import sys
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


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("data.dataset=fashon-mnist", "did you mean 'fashion-mnist'"),
        ("data.dataset=mnist", "data.root is not set"),
        ("data.options={samples = 3}", "data set 'digits' takes no options"),
        ("data.dataset=no_such_module:load", "no_such_module can't be found"),
        ("model.name=lenett", "did you mean 'lenet'"),
        ("model.name=no_such_module:build", "no_such_module can't be found"),
        ("optimizer.name=adamm", "did you mean 'adam'"),
        ("optimizer.momentun=0.9", "'momentun' is no option of torch.optim.SGD"),
        ("optimizer.momentum=-1", "Invalid momentum value: -1"),
    ],
)
def test_what_training_would_refuse_before_it_looks_at_data_is_refused(
    job: str, setting: str, told: str
) -> None:
    result = invoke(job, "--set", setting)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""


def test_all_that_is_wrong_is_told_at_once(job: str) -> None:
    result = invoke(job, "--set", "data.dataset=a", "--set", "optimizer.name=b")
    assert "data set 'a' is unknown" in result.stderr
    assert "optimizer 'b' isn't in torch.optim" in result.stderr


def test_run_without_learning_may_name_anything(job: str) -> None:
    result = invoke(job, "--set", "data.dataset=a", "--set", "simulate.learning=false")
    assert result.exit_code == 0


def test_torch_is_imported_only_to_ask_it(job: str) -> None:
    program = (
        "import sys; from hybridmpi.cli import main; "
        "main(sys.argv[1:], standalone_mode=False); print(sorted({'torch', 'torchvision'} & "
        "sys.modules.keys()), file=sys.stderr)"
    )
    line = [sys.executable, "-c", program, "config", job, "--set", "model.name=lenet"]
    ended = subprocess.run(line, capture_output=True, text=True, check=True)
    assert ended.stderr.strip() == "[]"
