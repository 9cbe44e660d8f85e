"""A job from a file, a dict or another job."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel

from hybridmpi.config.job import Job
from hybridmpi.config.load import parse_job, read_tree
from hybridmpi.config.overlay import field_as_table, overlay
from hybridmpi.config.problem import without_fields_of_images
from hybridmpi.learning.names import GIVEN

if TYPE_CHECKING:
    from hybridmpi.learning.problem import Problem

JobLike: TypeAlias = Job | Mapping[str, Any] | str | os.PathLike[str]
"""A job: checked, as nested dicts, or a TOML file."""


def load_job(job: JobLike, **settings: Any) -> Job:
    """Return a job, checked, with fields replaced.

    Args:
        job: A TOML file, nested dicts with the same fields, or a job.
        settings: Sections, each a dict of the fields to replace, for instance
            `optimizer={"learning_rate": 0.1}`; or single fields by their dotted names.

    Raises:
        UserError: If the file or a field is wrong; all wrong fields are named.
    """
    source = str(job) if isinstance(job, str | os.PathLike) else "job"
    return parse_job(tree_of(job, **settings), source)


def tree_of(job: JobLike, **settings: Any) -> dict[str, Any]:
    """Return a job as nested dicts, with fields replaced as in `load_job`; no field is checked."""
    if isinstance(job, Job):
        tree = without_fields_of_images(job.model_dump(mode="json"))
    elif isinstance(job, Mapping):
        tree = dict(job)
    else:
        tree = read_tree(Path(job))
    for name, value in settings.items():
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        tree = overlay(tree, field_as_table(name, plain))
    return tree


def job_of(job: JobLike, problem: "Problem | None", settings: Mapping[str, Any]) -> Job:
    """Return the job of a run; its problem is the object, where one is given.

    Raises:
        UserError: If the job is wrong, or has fields that don't go with the problem.
    """
    if problem is None:
        return load_job(job, **settings)
    given = {"problem": {"name": GIVEN}}
    if isinstance(job, Job):
        job = without_fields_of_images(job.model_dump(mode="json") | given)
    return load_job(job, **given, **settings)


def name_of(job: JobLike) -> str:
    """Return the name that a job's run file has by default: the job file's."""
    return Path(job).stem if isinstance(job, str | os.PathLike) else "run"
