"""What the runs of a job are measured by."""

from hybridmpi.config import Job
from hybridmpi.core.metrics import CLASSIFICATION, Metric
from hybridmpi.engines.problem import source_of


def metrics_of(job: Job) -> tuple[Metric, ...]:
    """Return the metrics of a job's runs, the one that decides by default first.

    Raises:
        UserError: If its problem cannot be had.
    """
    return source_of(job).make().described() if job.problem.is_own else CLASSIFICATION
