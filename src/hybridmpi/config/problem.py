"""The [problem] section: what is learned."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, JsonValue

from hybridmpi.config.changes import Changes
from hybridmpi.config.schedules import Table

IMAGES = "images"
# What only images have: the fields of other sections that go with no other problem.
_OF_IMAGES = {
    "data": ("dataset", "root", "download", "normalize", "augmentation", "options"),
    "model": ("name",),
}


class ProblemSection(Table):
    """What is learned."""

    name: Annotated[str, Changes.RESULT] = IMAGES
    """images: classification, from [data] and [model]; language, logistic, quadratic, regression;
    or your own package.module:function"""
    options: Annotated[dict[str, JsonValue], Changes.RESULT] = Field(default_factory=dict)
    """keyword arguments of the function that makes the problem; images take none"""

    @property
    def is_own(self) -> bool:
        """Whether the problem brings its samples and its model along."""
        return self.name != IMAGES


def out_of_place(job: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of a job that are given, but don't go with its problem."""
    problem = job.get("problem")
    if not isinstance(problem, Mapping) or problem.get("name", IMAGES) == IMAGES:
        return
    for section, names in _OF_IMAGES.items():
        given = job.get(section)
        if isinstance(given, Mapping):
            yield from (f"{section}.{name}" for name in names if name in given)


def without_fields_of_images(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job as it is written down: without what doesn't go with its problem."""
    if job.get("problem", {}).get("name", IMAGES) == IMAGES:
        return job
    kept = {
        section: {key: value for key, value in job[section].items() if key not in names}
        for section, names in _OF_IMAGES.items()
        if section in job
    }
    return {**job, **kept}
