import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hybridmpi.config.load import load_job, parse_job

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks in a page of the documentation."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


def test_tables_agree_with_the_code() -> None:
    script = ROOT / "docs" / "tables.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"run docs/tables.py\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("block", blocks("docs/jobs.md", "toml"))
def test_examples_of_jobs_are_right(block: str) -> None:
    base: dict[str, Any] = {"run": {"step_limit": 1}, "method": {"preset": "hybrid"}}
    base["method"]["threshold"] = {"schedule": "linear", "slope": "lr"}
    example = tomllib.loads(block)
    parse_job(
        {section: base.get(section, {}) | example.get(section, {}) for section in base | example},
        "example",
    )


def test_examples_of_jobs_are_found() -> None:
    assert len(blocks("docs/jobs.md", "toml")) > 5


def test_first_job_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(blocks("docs/jobs.md", "toml")[0])
    assert load_job(path).data.dataset == "digits"


def test_reading_a_run_works_as_described(
    small_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(small_run.parent)
    names: dict[str, Any] = {}
    exec(blocks("docs/run-file.md", "python")[0], names)
    assert capsys.readouterr().out.startswith("complete hybrid 30.0\n")
    assert names["stale"].staleness.tolist() == [1, 1]


def test_every_attribute_of_a_run_file_is_described(small_run: Path) -> None:
    import h5py

    described = re.findall(r"`(\w+)`", (ROOT / "docs" / "run-file.md").read_text())
    with h5py.File(small_run) as file:
        own = set(file.attrs) - {"torch_version"}  # the fixture's
    assert own <= set(described)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
