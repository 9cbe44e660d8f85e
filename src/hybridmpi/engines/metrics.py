"""What the runs of a job are measured by."""

from hybridmpi.config import Job
from hybridmpi.core.metrics import CLASSIFICATION, Metric


def metrics_of(job: Job) -> tuple[Metric, ...]:  # noqa: ARG001 - all jobs classify images so far
    """Return the metrics of a job's runs, the one that decides by default first."""
    return CLASSIFICATION
