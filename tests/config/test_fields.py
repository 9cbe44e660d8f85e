"""What each field of a job changes, and what follows from it."""

import pytest
from pydantic import BaseModel

from hybridmpi.config import Job
from hybridmpi.config.changes import Changes
from hybridmpi.config.fields import changes_of, differing_fields, open_to_resumed_runs
from hybridmpi.config.load import parse_job

SECTIONS = {name: field.annotation for name, field in Job.model_fields.items()}
FIELDS = [
    (section, name, field.metadata)
    for section, table in SECTIONS.items()
    if isinstance(table, type) and issubclass(table, BaseModel)
    for name, field in table.model_fields.items()
]


def test_every_section_is_looked_at() -> None:
    assert {section for section, *_ in FIELDS} == set(SECTIONS)


@pytest.mark.parametrize(
    ("section", "name", "metadata"), FIELDS, ids=[f"{one}.{two}" for one, two, _ in FIELDS]
)
def test_every_field_has_one_marker(section: str, name: str, metadata: list[object]) -> None:
    (marker,) = (each for each in metadata if isinstance(each, Changes))
    assert changes_of(f"{section}.{name}") == marker


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("run.seed", Changes.RESULT),
        ("run.device", Changes.RANKS),
        ("faults.min_workers", Changes.RANKS),
        ("method.broadcast", Changes.RESULT_UNDER_MPI),
        ("method.threshold.every", Changes.RESULT),  # inside a table
        ("simulate.jitter.sigma", Changes.RESULT_IN_SIMULATION),
        ("optimizer.momentum", Changes.RESULT),  # an option that no section lists
        ("data.of_another_version", Changes.RESULT),
        ("engine", Changes.RESULT),
    ],
)
def test_fields_are_known_by_their_dotted_names(name: str, changes: Changes) -> None:
    assert changes_of(name) == changes


def test_what_may_change_when_a_run_is_resumed() -> None:
    assert open_to_resumed_runs() == {
        *("run.time_limit_s", "run.gradient_limit", "run.step_limit", "run.epoch_limit"),
        *("run.non_finite_limit", "run.straggler_limit_s", "run.output", "run.transport"),
        *("run.device", "run.server_threads", "data.root", "data.download"),
        *("checkpoint.every_s", "checkpoint.every_steps", "checkpoint.keep"),
        *("faults.timeout_s", "faults.min_workers", "evaluation.batch_size"),
    }


@pytest.mark.parametrize(
    ("changes", "simulate", "mpi", "may_be_resumed"),
    [
        (Changes.RESULT, True, True, False),
        (Changes.RESULT_UNDER_MPI, False, True, False),
        (Changes.RESULT_IN_SIMULATION, True, False, False),
        (Changes.RANKS, False, True, True),
        (Changes.END, True, True, True),
        (Changes.PLACE, False, False, True),
    ],
)
def test_markers_say_what_counts(
    changes: Changes, simulate: bool, mpi: bool, may_be_resumed: bool
) -> None:
    assert changes.counts_for("simulate") == simulate
    assert changes.counts_for("mpi") == mpi
    assert changes.is_open_to_resumed_runs == may_be_resumed


def test_differing_fields_are_named_with_both_values() -> None:
    job = {"run": {"time_limit_s": 1.0}, "method": {"preset": "sync"}}
    other = job | {"optimizer": {"momentum": 0.9}, "data": {"batch_size": 8}}
    assert list(differing_fields(parse_job(job, "one"), parse_job(other, "other"))) == [
        ("data.batch_size", 32, 8),
        ("optimizer.momentum", None, 0.9),
    ]
