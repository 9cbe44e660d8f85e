"""Run files of other versions: columns are read by name, and a newer minor version is read, too."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from hybridmpi import read_run
from hybridmpi.cli import main
from hybridmpi.core.metrics import CLASSIFICATION, Metric
from hybridmpi.errors import UserError
from hybridmpi.experiments.digest import digest
from hybridmpi.experiments.run_summary import summarize
from hybridmpi.runlog.beginning import read_beginning
from hybridmpi.runlog.content import PARTS, content_hash
from hybridmpi.runlog.schema import LOGS
from hybridmpi.runlog.writer import RunWriter

METRICS = (
    Metric("gap", "", False, "f minus its smallest value"),
    Metric("gradient_norm", "1/m", False, "Euclidean norm of the gradient of f"),
)


def rewritten(path: Path, *changes: Callable[[Any], None]) -> Path:
    """Change a closed run file, as another version would have written it."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        for change in changes:
            change(file)
        parts = [file[name][()] for name in PARTS]
        file.attrs.modify("content_sha256", np.bytes_(content_hash(parts)))
    return path


def with_columns(name: str, columns: Callable[[list[Any]], list[Any]]) -> Callable[[Any], None]:
    """Return a change of a table's columns, (name, dtype) each; what is new holds ones."""

    def change(file: Any) -> None:
        rows, attributes = file[name][()], dict(file[name].attrs)
        old = [(each, rows.dtype[each]) for each in rows.dtype.names]
        changed = np.ones(len(rows), columns(old))
        for each in set(rows.dtype.names) & set(changed.dtype.names or ()):
            changed[each] = rows[each]
        del file[name]
        file.create_dataset(name, data=changed, maxshape=(None,), chunks=(64,))
        file[name].attrs.update(attributes)

    return change


def without(name: str, *lacking: str) -> Callable[[Any], None]:
    return with_columns(name, lambda old: [each for each in old if each[0] not in lacking])


def with_more(name: str, *added: tuple[str, str]) -> Callable[[Any], None]:
    return with_columns(name, lambda old: [added[0], *old, *added[1:]])


def newer_minor(file: Any) -> None:
    file.attrs["schema_minor"] = 99
    file.attrs["places"] = ["here", "there"]  # of a kind that this version does not know
    file["clocks"] = np.zeros(3, [("rank", "i4"), ("skew_s", "f8")])


def test_newer_minor_version_is_read_and_what_it_adds_is_passed_over(small_run: Path) -> None:
    before = read_run(small_run)
    added = (("queue", "i8"), ("note", "S8"))
    tables = ("gradients", "steps", "evaluations", "workers", "events")
    rewritten(small_run, newer_minor, *(with_more(name, *added) for name in tables))
    run = read_run(small_run)
    for name in tables:
        now, then = getattr(run, name), getattr(before, name)
        assert now.columns.tolist() == then.columns.tolist()
        assert now.equals(then)
    assert run.metrics == CLASSIFICATION
    assert "places" not in run.attributes


@pytest.mark.parametrize("command", ["show", "export"])
def test_commands_read_a_newer_minor_version(small_run: Path, tmp_path: Path, command: str) -> None:
    rewritten(small_run, newer_minor, with_more("gradients", ("queue", "i8")))
    targets = {"show": ["--no-figure"], "export": [str(tmp_path / "copy.h5")]}[command]
    result = CliRunner().invoke(main, [command, str(small_run), *targets])
    assert result.exit_code == 0, result.output
    if command == "export":
        copy = read_run(tmp_path / "copy.h5")
        assert copy.gradients.equals(read_run(small_run).gradients)
        assert copy.attributes["schema_minor"] == 1


def test_rows_of_a_newer_minor_version_are_compared_with_their_hash(small_run: Path) -> None:
    rewritten(small_run, newer_minor, with_more("gradients", ("queue", "i8")))
    with h5py.File(small_run, "r+") as file:
        rows = file["gradients"][()]
        rows["queue"][0] += 1
        file["gradients"][...] = rows
    with pytest.raises(UserError, match="rows are not those"):
        read_run(small_run)


def test_newer_major_version_is_refused_with_what_to_do(small_run: Path) -> None:
    with h5py.File(small_run, "r+") as file:
        file.attrs["schema_version"] = 2
    with pytest.raises(UserError, match=r"schema version 2, .* up to 1; update hybridmpi"):
        read_run(small_run)


@pytest.mark.parametrize("version", [0, -3, 1.5, "one"])
def test_version_that_is_none_is_damage(small_run: Path, version: Any) -> None:
    with h5py.File(small_run, "r+") as file:
        file.attrs["schema_version"] = version
    with pytest.raises(UserError, match="is damaged: its schema version is"):
        read_run(small_run)


def test_column_newer_than_a_file_is_filled_in_where_it_is_known(small_run: Path) -> None:
    run = read_run(rewritten(small_run, without("gradients", "assignment")))
    assert run.gradients.assignment.tolist() == [0] * 5


def test_column_newer_than_a_file_is_told_when_it_is_asked_for(small_run: Path) -> None:
    run = read_run(rewritten(small_run, without("gradients", "server_s", "staleness")))
    assert "server_s" not in run.gradients
    assert run.gradients.loss.tolist()[0] == 2.5
    assert run.accounting().pushed == 5
    told = r"run.h5' has no column 'server_s' in gradients: the hybridmpi that wrote it"
    asks: Sequence[Callable[[], Any]] = (
        lambda: run.gradients.server_s,
        lambda: run.gradients["server_s"],
        lambda: run.gradients[["loss", "server_s"]],
        lambda: run.gradients[run.gradients.accepted].server_s,
    )
    for ask in asks:
        with pytest.raises(UserError, match=told):
            ask()
    assert not hasattr(run.gradients, "server_s")
    with pytest.raises(KeyError):
        run.gradients["never_heard_of"]


def test_command_that_needs_a_missing_column_says_so(small_run: Path, tmp_path: Path) -> None:
    rewritten(small_run, without("gradients", "staleness"))
    result = CliRunner().invoke(main, ["show", "--no-figure", str(small_run)])
    assert result.exit_code == 2
    assert "has no column 'staleness'" in result.output
    copied = CliRunner().invoke(main, ["export", str(small_run), str(tmp_path / "copy.h5")])
    assert copied.exit_code == 0, copied.output
    assert "staleness" not in read_run(tmp_path / "copy.h5").gradients


def test_column_of_another_kind_is_damage(small_run: Path) -> None:
    def as_text(old: list[Any]) -> list[Any]:
        return [(name, "S8" if name == "loss" else dtype) for name, dtype in old]

    rewritten(small_run, with_columns("gradients", as_text))
    with pytest.raises(UserError, match="is damaged: loss in gradients is of type"):
        read_run(small_run)


def test_run_cannot_be_resumed_whose_columns_are_others(small_run: Path) -> None:
    counts = {table.name: 1 for table in LOGS}
    assert len(read_beginning(small_run, counts, 1, CLASSIFICATION)["steps"]) == 1
    with pytest.raises(UserError, match=r"other columns in evaluations than a run of this job"):
        read_beginning(small_run, counts, 1, METRICS)
    rewritten(small_run, without("gradients", "server_s"))
    with pytest.raises(UserError, match=r"other columns in gradients than a run of this job"):
        read_beginning(small_run, counts, 1, CLASSIFICATION)


def test_file_without_marked_metrics_is_of_image_classification(small_run: Path) -> None:
    def unmark(file: Any) -> None:
        for name in [name for name in file["evaluations"].attrs if name.endswith("_direction")]:
            del file["evaluations"].attrs[name]

    assert read_run(rewritten(small_run, unmark)).metrics == CLASSIFICATION


@pytest.fixture
def quadratic_run(new_run: Callable[..., RunWriter]) -> Path:
    """Return the file of a run that is measured by metrics of its own."""
    writer = new_run(metrics=METRICS)
    for time_s, gap in ((0.0, 1.0), (10.0, 1e-6)):
        writer.evaluation(time_s, 0, 0.0, {"gap": gap, "gradient_norm": 10 * gap})
    writer.close("complete", duration_s=10.0)
    return writer.path


def test_metrics_are_columns_with_unit_and_direction(quadratic_run: Path) -> None:
    with h5py.File(quadratic_run) as file:
        table = file["evaluations"]
        assert table.dtype.names == ("time_s", "version", "epoch", "gradient_norm", "gap")
        assert table.attrs["gradient_norm"] == "Euclidean norm of the gradient of f"
        assert table.attrs["gradient_norm_unit"] == "1/m"
        assert table.attrs["gap_direction"] == "lower is better"
    run = read_run(quadratic_run)
    assert run.metrics == METRICS
    assert run.evaluations.gap.tolist() == [1.0, 1e-6]
    assert run.interval_mean("gap") == pytest.approx(0.5000005)


def test_image_classification_has_the_columns_that_it_always_had(small_run: Path) -> None:
    with h5py.File(small_run) as file:
        table = file["evaluations"]
        assert table.dtype == np.dtype(
            [
                *(("time_s", "f8"), ("version", "i8"), ("epoch", "f8")),
                *(("train_loss", "f8"), ("test_loss", "f8"), ("test_accuracy", "f8")),
            ]
        )
        assert table.attrs["test_accuracy_direction"] == "higher is better"
        assert table.attrs["test_accuracy_unit"] == "fraction"


def test_metrics_of_one_s_own_survive_a_closed_copy(quadratic_run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["export", str(quadratic_run), str(tmp_path / "copy.h5")])
    assert result.exit_code == 0, result.output
    copy = read_run(tmp_path / "copy.h5")
    assert copy.metrics == METRICS
    assert copy.evaluations.equals(read_run(quadratic_run).evaluations)


def test_values_are_those_of_the_metrics(new_run: Callable[..., RunWriter]) -> None:
    with pytest.raises(ValueError, match=r"evaluated were \['gap'\], but the metrics are"):
        new_run(metrics=METRICS).evaluation(0.0, 0, 0.0, {"gap": 1.0})


def test_summaries_go_by_the_metrics(quadratic_run: Path) -> None:
    run = read_run(quadratic_run)
    assert summarize(run)
    outcomes = digest(run).outcomes
    assert outcomes["gap_best"] == outcomes["gap_end"] == 1e-6
    assert "test_accuracy" not in outcomes


@pytest.mark.parametrize("direction", ["sideways", 3])
def test_direction_that_is_none_is_damage(quadratic_run: Path, direction: Any) -> None:
    with h5py.File(quadratic_run, "r+") as file:
        file["evaluations"].attrs["gap_direction"] = direction
    with pytest.raises(UserError, match="is damaged: the direction of gap is"):
        read_run(quadratic_run)
