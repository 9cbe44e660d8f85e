"""The page of results: made from run files by way of CSV files, and checked without the runs."""

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

from findings import experiments, figures, numbers  # noqa: E402
from findings.conditions import machine_text  # noqa: E402
from findings.results import Results  # noqa: E402

JOB = """
run = { time_limit_s = 4 }
method = { preset = "hybrid", threshold = { schedule = "step", every = 10 } }
model = { name = "jobs.paper.models:softmax_regression" }
evaluation = { every_s = 1 }
data = { shards = "dirichlet-equal", concentration = 0.1 }
delays = { fraction = 0.5, max_s = 1 }
simulate = { workers = 4, compute_fixed_s = 0.25, jitter = { distribution = "exponential" } }
"""
EXPERIMENT = """
# Is it small?
job = "job.toml"
seeds = 7
tune = "optimizer.learning_rate"
tune_seeds = 1
[variants.async]
method.preset = "async"
[variants.hybrid]
[variants.sync]
method.preset = "sync"
[axes]
data.batch_size = [16]
optimizer.learning_rate = [0.01, 0.1]
[decision]
reference = "async"
variants = ["hybrid"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    """Yield the results of a small experiment, made by the whole chain."""
    folder = tmp_path_factory.mktemp("results")
    jobs, out = folder / "jobs", folder / "out"
    jobs.mkdir()
    (jobs / "job.toml").write_text(JOB.lstrip())
    for name in ("small", "again"):
        (jobs / f"{name}.toml").write_text(EXPERIMENT.lstrip())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "JOBS", jobs)
        patch.setattr(numbers, "WITH_CURVES", ("small",))
        patch.setattr(numbers, "WITH_FAIRNESS", ("small",))
        assert experiments.make_runs("small", folder, out, processes=1)
        numbers.write_numbers("small", out / "small", folder / "csv")
        yield Results(folder / "csv")


@pytest.fixture
def results(made: Results, tmp_path: Path) -> Results:
    """Return a copy of the CSV files alone."""
    shutil.copytree(made.folder, tmp_path / "csv")
    return Results(tmp_path / "csv")


def test_numbers_come_from_the_runs(made: Results, results: Results) -> None:
    report = made.folder.parent / "out" / "small" / "tables" / "verdicts.csv"
    told = next(
        row
        for row in csv.DictReader(report.read_text().splitlines())
        if (row["method"], row["optimizer.learning_rate"]) == ("hybrid", "0.1")
    )
    difference = results.difference("small", "hybrid", learning_rate=0.1)
    assert difference.num_pairs == 7
    assert difference.mean == pytest.approx(float(told["mean_difference"]), abs=1e-6)
    assert difference.p_value == pytest.approx(float(told["p_value"]))
    assert results.verdict("small", "hybrid", learning_rate=0.1) == told["verdict"]
    assert told["p_value_holm"][:5] in results.verdicts("small")
    assert results.verdict("small", "sync", learning_rate=0.1) == "no verdict"  # not asked
    mean = 100 * difference.mean
    assert results.gain("small", "hybrid", learning_rate=0.1).startswith(f"{mean:+.2f} points (")
    matrix = results.matrix("small").splitlines()
    assert [cell.strip() for cell in matrix[0].split("|")[1:-1]] == [
        "method",
        "learning rate 0.01",
        "learning rate 0.1",
    ]
    assert f"{mean:+.2f} ± " in matrix[3]
    assert "✓" in results.tuned("small")
    assert results.interaction("small", "hybrid", "learning_rate", 0.1, 0.1).startswith(
        "+0.00 points"
    )


def test_data_of_delayed_workers_count_less_where_nobody_waits(results: Results) -> None:
    of_sync, of_async = (
        float(results.value("small", method, "delayed_weight", learning_rate=0.1).rstrip(" %"))
        for method in ("sync", "async")
    )
    assert of_sync == 50
    assert 0 < of_async < 40
    table = results.means("small", {"theirs": "delayed_accuracy", "others'": "others_accuracy"})
    assert table.count("\n") == 1 + 6
    assert "theirs" in table.splitlines()[0]


def test_claim_is_told_for_each_reading(results: Results) -> None:
    *_, first, second = results.claim("small").splitlines()
    assert "digits, batch 16, 4 s, 4 workers" in first
    assert second.count("unknown") == 2


def test_runs_of_another_experiment_are_shared(made: Results, tmp_path: Path) -> None:
    out = made.folder.parent / "out"
    experiments.share_runs("again", out)
    small, again = (
        {path.name: path.stat().st_ino for path in (out / name / "runs").iterdir()}
        for name in ("small", "again")
    )
    assert again == small
    numbers.write_numbers("small", out / "small", tmp_path / "twice")
    for path in made.folder.iterdir():
        assert path.read_bytes() == (tmp_path / "twice" / path.name).read_bytes()


def test_figures_are_drawn_from_the_csv_files(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = figures.FIGURES["significance"]
    monkeypatch.setitem(figures.FIGURES, "small", curves)
    figures.write_figure("small", results.folder)
    assert {path.name for path in results.folder.glob("*.png")} == {"small.png", "small-curves.png"}


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("latency_s=0.2", "latency 0.2 s"),
        ("bandwidth_bytes_per_s=500000.0", "bandwidth 500,000 B/s"),
        ("slowness=100, 1, 1, 1", "slowness 100, 3 x 1"),
        ("jitter=distribution=pareto, shape=1.5", "jitter pareto, shape 1.5"),
    ],
)
def test_machines_are_told_in_words(label: str, text: str) -> None:
    assert machine_text(label) == text


def test_csv_file_of_other_runs_is_refused(results: Results) -> None:
    path = results.folder / "small.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(ValueError, match="doesn't hold just the runs"):
        results.value("small", "async", learning_rate=0.1)


def test_page_agrees_with_the_csv_files() -> None:
    script = ROOT / "docs" / "results.py"
    done = subprocess.run(
        [sys.executable, script, "--check"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"run docs/results.py\n{done.stdout}{done.stderr}"


def test_results_are_small() -> None:
    files = (ROOT / "docs" / "results").glob("*")
    assert sum(path.stat().st_size for path in files) < 2 * 2**20
