import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import hybridmpi
from hybridmpi import read_run
from hybridmpi.config.experiment import load_experiment
from hybridmpi.config.load import load_job, parse_job, read_tree
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.experiments.plan import plan
from hybridmpi.runlog.schema import GRADIENTS
from hybridmpi.runlog.writer import RunWriter

ROOT = Path(__file__).parents[1]
EXPERIMENTS = [
    ROOT / "jobs" / "experiment-digits.toml",
    *(path for path in sorted(ROOT.glob("jobs/paper/*.toml")) if "[decision]" in path.read_text()),
]
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


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiments_that_come_with_the_project_can_be_planned(path: Path) -> None:
    experiment = load_experiment(path)
    made = plan(experiment, read_tree(experiment.job))
    tuning = experiment.tuning_seeds if experiment.tune else ()
    assert {run.job.run.seed for run in made.runs} == {*experiment.seeds, *tuning}


def test_experiment_of_the_page_can_be_planned(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(blocks("docs/compare.md", "toml")[0])
    experiment = load_experiment(path)
    made = plan(experiment, read_tree(ROOT / "jobs" / "cifar10.toml"))
    assert len(made.runs) == 2 * 4 * (12 + 2)


def test_reading_a_run_works_as_described(
    small_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(small_run.parent)
    names: dict[str, Any] = {}
    exec(blocks("docs/run-file.md", "python")[0], names)
    assert capsys.readouterr().out.startswith("complete hybrid 30.0\n")
    assert names["stale"].staleness.tolist() == [1, 1]


def test_reading_a_run_with_h5py_alone_works_as_described(
    small_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(small_run.parent)
    names: dict[str, Any] = {}
    exec(blocks("docs/run-file.md", "python")[1], names)
    printed = "complete\nthe server's version at arrival minus the push's version\n"
    assert capsys.readouterr().out == printed
    assert names["steps"].gradients.tolist() == [1, 2]


def softmax(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Return a user's own model."""
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))


@pytest.fixture(scope="module")
def runs_to_analyse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the runs that analysis.md asks for, made smaller."""
    folder = tmp_path_factory.mktemp("analysis")
    smaller = [
        f"model.name={__name__}:softmax",
        "data.dataset=synthetic",
        "data.options={ samples = 200, shape = [1, 4, 4] }",
        "simulate.workers=6",
        "run.time_limit_s=2",
    ]
    for preset in ("async", "hybrid", "sync"):
        for seed in (1, 2, 3):
            settings = [*smaller, f"run.seed={seed}", f"method.preset={preset}"]
            simulation = Simulation(load_job(ROOT / "jobs" / "simulate.toml", settings))
            simulation.run(folder / "runs" / f"{preset}-seed{seed}.h5")
    return folder


@pytest.fixture
def analysis(
    runs_to_analyse: Path,
    new_run: Callable[..., RunWriter],
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Return the blocks of analysis.md, in a folder where they can be run."""
    monkeypatch.chdir(runs_to_analyse)
    live = new_run(runs_to_analyse / "runs" / "live.h5", force=True)
    row = (1.5, 1, 0, 0, 0, True, 0.0, -1, 2.5, 32, 0.9, 0.0, 0.01, 0)
    live.append(GRADIENTS, GRADIENTS.to_array([row]))
    live.flush()
    return blocks("docs/analysis.md", "python")


def test_analysis_works_as_described(
    analysis: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    for block in analysis:
        exec(block, names)
    printed = capsys.readouterr().out
    assert "staleness  the server's version at arrival minus the push's version" in printed
    assert "running: 1 gradients after 1.5 s of training" in printed
    assert "no sign of life" not in printed
    throughput, pushed = names["throughput"].gradients_per_s, len(names["gradients"])
    assert throughput.mean() * 2 == pytest.approx(pushed)  # of a run of 2 seconds
    runs, difference = names["runs"], names["difference"]
    gains = (
        runs[runs.method == "sync"].accuracy.mean() - runs[runs.method == "async"].accuracy.mean()
    )
    assert difference["sync"].mean() == pytest.approx(gains)
    assert [line.get_label() for line in names["axes"].lines] == ["async", "hybrid", "sync"]
    assert Path("accuracy.png").stat().st_size > 10_000


@pytest.mark.parametrize("table", ["gradients", "steps"])
def test_analysis_notices_a_row_that_is_lost(analysis: list[str], table: str) -> None:
    names: dict[str, Any] = {}
    exec(analysis[0], names)
    rows = getattr(names["run"], table)
    first = rows.index[rows.step > 0][0] if table == "gradients" else 0
    names["run"] = replace(names["run"], **{table: rows.drop(index=first)})
    check = next(block for block in analysis if "accounting" in block)
    with pytest.raises(AssertionError):
        exec(check, names)


def test_own_problem_works_as_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reviews.py").write_text(blocks("docs/problems.md", "python")[0])
    jobs = [parse_job(tomllib.loads(each), "page") for each in blocks("docs/problems.md", "toml")]
    named = {job.problem.name: job for job in jobs}
    assert named.keys() == {"language", "reviews:reviews", "quadratic"}
    Simulation(named["reviews:reviews"]).run(Path("run.h5"))
    run = read_run("run.h5")
    assert run.evaluations.test_accuracy.iloc[-1] > 0.8
    assert "words.weight" not in [entry["name"] for entry in run.layout["entries"]]


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


def texts_of_the_code() -> list[str]:
    """Return all texts in the sources, those that are put together with … for what differs."""
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            if isinstance(node, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                )
                found.append("".join(map(str, parts)))
    return found


def test_messages_of_what_may_go_wrong_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "what-may-go-wrong.md").read_text()
    messages = re.findall(r"^\| `(.+?)` \|", page, re.MULTILINE)
    assert len(messages) > 60
    texts = texts_of_the_code()

    def is_said(message: str) -> bool:
        words = re.compile(".*".join(map(re.escape, message.split("…"))), re.DOTALL)
        return any(words.search(text) for text in texts)

    assert [message for message in messages if not is_said(message)] == []


def test_python_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks("docs/python.md", "python"):
        exec(compile(block, "docs/python.md", "exec"), names)
    assert (names["run"].status, names["sync"].config["method"]["preset"]) == ("complete", "sync")
    assert set(re.findall(r"^\| `(\w+)\(", (ROOT / "docs/python.md").read_text(), re.M)) <= set(
        hybridmpi.__all__
    )
