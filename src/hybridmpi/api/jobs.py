"""A job from a file, a dict or another job."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel

from hybridmpi.config.job import Job
from hybridmpi.config.load import parse_job, read_tree
from hybridmpi.config.overlay import field_as_table, overlay

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
        tree = job.model_dump(mode="json")
    elif isinstance(job, Mapping):
        tree = dict(job)
    else:
        tree = read_tree(Path(job))
    for name, value in settings.items():
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        tree = overlay(tree, field_as_table(name, plain))
    return tree


def name_of(job: JobLike) -> str:
    """Return the name that a job's run file has by default: the job file's."""
    return Path(job).stem if isinstance(job, str | os.PathLike) else "run"
