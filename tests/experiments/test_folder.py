"""Whose an experiment's folder is, and which of its runs count as there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybridmpi.config.experiment import Experiment
from hybridmpi.core.revision import PROTOCOL_REVISION
from hybridmpi.errors import UserError
from hybridmpi.experiments.folder import RUNS, STOP, check, locked, prepare, state_of
from hybridmpi.experiments.plan import Plan, PlannedRun, plan
from hybridmpi.experiments.plan_file import PLAN, read_plan
from hybridmpi.runlog.writer import RunWriter

BASE = {"run": {"time_limit_s": 10}, "evaluation": {"every_s": 1}, "data": {"root": "here"}}
GIVEN: dict[str, Any] = {
    "job": "job.toml",
    "seeds": 1,
    "variants": {name: {"method": {"preset": name}} for name in ("async", "sync")},
    "decision": {"reference": "async"},
}


def planned(base: dict[str, Any] = BASE, **changes: Any) -> Plan:
    return plan(Experiment.model_validate(GIVEN | changes), base)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "asked.toml"
    path.write_text("# as asked\n")
    return path


@pytest.fixture
def write(new_run: Callable[..., RunWriter], tmp_path: Path) -> Callable[..., PlannedRun]:
    """Return a function that writes the run file of the first planned run."""

    def write(
        status: str = "complete",
        config: dict[str, Any] | None = None,
        file: str = "",
        **attributes: Any,
    ) -> Any:
        run = planned().runs[0]
        own = {"engine": "simulate", "num_workers": 25, "hybridmpi_version": "0.1.0"}
        writer = new_run(
            tmp_path / (file or run.file),
            config=config or run.job.model_dump(mode="json"),
            attributes=own | attributes,
        )
        if status != "running":
            writer.close(status)
        return run

    return write


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("complete", "complete"),
        ("failed", "failed"),
        ("stopped", "missing"),
        ("running", "missing"),
    ],
)
def test_only_a_run_that_came_to_its_end_is_there(
    write: Callable[..., PlannedRun], tmp_path: Path, status: str, state: str
) -> None:
    run = write(status)
    assert state_of(tmp_path / run.file, run) == state


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol_revision": PROTOCOL_REVISION + 1},
        {"protocol_revision": "new"},
        {"engine": "mpi"},
        {"num_workers": 24},
        {"config": planned().runs[1].job.model_dump(mode="json")},
        {"config": {"run": {"seed": 3}}},
    ],
)
def test_run_of_another_protocol_engine_or_revision_is_missing(
    write: Callable[..., PlannedRun], tmp_path: Path, changes: dict[str, Any]
) -> None:
    run = write(**changes)
    assert state_of(tmp_path / run.file, run) == "missing"


def test_file_that_is_no_run_file_is_missing(tmp_path: Path) -> None:
    run = planned().runs[0]
    assert state_of(tmp_path / run.file, run) == "missing"
    (tmp_path / RUNS).mkdir()
    (tmp_path / run.file).write_text("no run")
    assert state_of(tmp_path / run.file, run) == "missing"


def test_second_compare_in_one_folder_is_refused_as_long_as_the_first_works(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    told = r"in use by another .*\(process \d+ on"
    with locked(folder), pytest.raises(UserError, match=told), locked(folder):
        pass
    with locked(folder):
        pass


def test_folder_is_made_cleared_and_found_again(tmp_path: Path, experiment: Path) -> None:
    folder = tmp_path / "out"
    assert check(folder, planned()).runs
    assert not folder.exists()
    prepare(folder, planned(), experiment)
    assert (folder / "experiment.toml").read_text() == "# as asked\n"
    (folder / RUNS).mkdir()
    left_behind = [folder / RUNS / ".a.h5.123.part", folder / STOP]
    for path in left_behind:
        path.touch()
    prepare(folder, planned(), experiment)
    assert not any(path.exists() for path in left_behind)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"data": {"root": "there"}},
        {"run": {"time_limit_s": 10, "device": "cpu"}},
        {"checkpoint": {"every_s": 5.0}},
    ],
)
def test_fields_that_change_no_result_may_be_others_now(
    tmp_path: Path, experiment: Path, elsewhere: dict[str, Any]
) -> None:
    prepare(tmp_path / "out", planned(), experiment)
    prepare(tmp_path / "out", planned(BASE | elsewhere), experiment)


@pytest.mark.parametrize(
    "attributes", [{}, {"hybridmpi_version": "9.9", "protocol_revision": PROTOCOL_REVISION}]
)
def test_run_counts_by_its_revision_whichever_version_made_it(
    write: Callable[..., PlannedRun], tmp_path: Path, attributes: dict[str, Any]
) -> None:
    run = write(**attributes)
    assert state_of(tmp_path / run.file, run) == "complete"


def test_runs_keep_the_names_that_a_former_version_gave_them(
    write: Callable[..., PlannedRun], tmp_path: Path, experiment: Path
) -> None:
    folder, former = tmp_path / "out", "runs/async-seed0-00former00.h5"
    prepare(folder, planned(), experiment)
    plan_file = folder / PLAN
    plan_file.write_text(plan_file.read_text().replace(planned().runs[0].file, former))
    write(file=f"out/{former}")
    found = check(folder, planned())
    assert [run.file for run in found.runs] == [former, planned().runs[1].file]
    assert state_of(folder / former, found.runs[0]) == "complete"
    prepare(folder, planned(), experiment)
    assert [given["file"] for given in read_plan(folder)["places"]] == [
        former,
        planned().runs[1].file,
    ]


def test_file_of_a_former_name_counts_only_for_what_it_holds(
    write: Callable[..., PlannedRun], tmp_path: Path, experiment: Path
) -> None:
    folder, former = tmp_path / "out", "runs/async-seed0-00former00.h5"
    prepare(folder, planned(), experiment)
    plan_file = folder / PLAN
    plan_file.write_text(plan_file.read_text().replace(planned().runs[0].file, former))
    write(file=f"out/{former}", config=planned().runs[1].job.model_dump(mode="json"))
    assert check(folder, planned()).runs[0].file == planned().runs[0].file


@pytest.mark.parametrize(
    ("base", "changes", "told"),
    [
        (BASE, {"seeds": 2}, r"experiment's: seeds is \[0\], asked for is \[0, 1\]\. Name another"),
        (BASE | {"model": {"name": "lenet"}}, {}, "model.name is None, asked for is lenet"),
        (BASE, {"decision": {"reference": "sync"}}, "decision.reference is async, asked for is sy"),
    ],
)
def test_folder_of_another_experiment_is_refused_with_what_differs(
    tmp_path: Path, experiment: Path, base: dict[str, Any], changes: dict[str, Any], told: str
) -> None:
    prepare(tmp_path / "out", planned(), experiment)
    with pytest.raises(UserError, match=told):
        check(tmp_path / "out", planned(base, **changes))


def test_folder_that_holds_something_else_is_refused(tmp_path: Path, experiment: Path) -> None:
    with pytest.raises(UserError, match=r"holds asked.toml, but no plan\.json"):
        prepare(tmp_path, planned(), experiment)
