"""What of a job can be refused before data are loaded, or ranks started."""

from collections.abc import Callable, Iterator
from functools import partial

from hybridmpi.config import Job
from hybridmpi.errors import UserError
from hybridmpi.learning.names import check_data_set, check_model, is_from_torchvision


def check_job(job: Job, *, quickly: bool = False) -> None:
    """Refuse a job whose data set, model or optimizer cannot be had.

    What depends on the machine or on files is not looked at: the job may be meant for another one,
    or for later.

    Args:
        job: The job.
        quickly: Leave out what takes an import of torch, a second or two.

    Raises:
        UserError: If so; all that is wrong is named.
    """
    mistakes = []
    for check in (*_quick_checks(job), *([] if quickly else _slow_checks(job))):
        try:
            check()
        except UserError as error:
            mistakes.append(str(error))
    if mistakes:
        raise UserError("\n".join(mistakes))


def _quick_checks(job: Job) -> Iterator[Callable[[], None]]:
    yield partial(check_data_set, job.data.dataset, job.data.root, job.data.options)
    if not is_from_torchvision(job.model.name):
        yield partial(check_model, job.model.name)


def _slow_checks(job: Job) -> Iterator[Callable[[], None]]:
    if job.data.dataset == "synthetic" and job.data.options:
        from hybridmpi.learning.datasets.synthetic import check_options

        yield partial(check_options, job.data.options)
    if is_from_torchvision(job.model.name):
        yield partial(check_model, job.model.name)
    if job.optimizer.name.lower() != "sgd" or job.optimizer.options:
        from hybridmpi.learning.optimizer import check_optimizer

        yield partial(check_optimizer, job.optimizer.name, job.optimizer.options)
