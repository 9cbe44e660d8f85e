from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hybridmpi.cli import doctor as doctor_module
from hybridmpi.cli import main
from hybridmpi.doctor.check import Check, ok, problem, warning

GOOD, BAD = ok("cores", "2 usable"), problem("mpirun", "none", "install one")
DOUBTFUL = warning("data", "no folder 'data'", "name it with --data")


@pytest.fixture
def diagnosed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sequence[Path], Path]]:
    """Collect what `diagnose` is called with."""
    calls: list[tuple[Sequence[Path], Path]] = []
    monkeypatch.delenv("HYBRIDMPI_DATA", raising=False)
    find(monkeypatch, calls, GOOD)
    return calls


def find(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[Sequence[Path], Path]], *checks: Check
) -> None:
    def fake_diagnose(data_roots: Sequence[Path], output: Path) -> Iterator[Check]:
        calls.append((data_roots, output))
        yield from checks

    monkeypatch.setattr(doctor_module, "diagnose", fake_diagnose)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


@pytest.mark.parametrize(
    ("checks", "exit_code", "verdict"),
    [
        ((GOOD,), 0, "Ready to train."),
        ((GOOD, DOUBTFUL), 0, "Ready to train, with 1 warning."),
        ((BAD, GOOD, DOUBTFUL, BAD), 1, "2 problems to mend before training here."),
    ],
)
def test_problems_decide_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, checks: tuple[Check, ...], exit_code: int, verdict: str
) -> None:
    find(monkeypatch, [], *checks)
    result = invoke()
    assert result.exit_code == exit_code
    assert verdict in result.stdout


def test_table_says_what_was_found_and_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find(monkeypatch, [], GOOD, BAD)
    rows = [" ".join(line.split()) for line in invoke().stdout.splitlines()]
    assert "cores ok 2 usable" in rows
    assert "mpirun problem none" in rows
    assert "→ install one" in rows


def test_data_roots_come_from_options_then_environment_then_default(
    diagnosed: list[tuple[Sequence[Path], Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke()
    monkeypatch.setenv("HYBRIDMPI_DATA", "sets")
    invoke("--output", "results")
    invoke("--data", "a", "--data", "b")
    assert diagnosed == [
        ((Path("data"),), Path("runs")),
        ((Path("sets"),), Path("results")),
        ((Path("a"), Path("b")), Path("runs")),
    ]
