"""What of a job can be refused before data are loaded, or ranks started."""

from collections.abc import Callable, Iterator
from functools import partial

from hybridmpi.config import Job
from hybridmpi.errors import UserError
from hybridmpi.learning.names import check_data_set, check_model, check_problem, is_from_torchvision


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
    if job.problem.is_own:
        yield partial(check_problem, job.problem.name)
        return
    yield partial(check_data_set, job.data.dataset, job.data.root, job.data.options)
    if not is_from_torchvision(job.model.name):
        yield partial(check_model, job.model.name)


def _slow_checks(job: Job) -> Iterator[Callable[[], None]]:
    if job.problem.is_own:
        if ":" not in job.problem.name and job.problem.options:
            yield partial(_check_options, job)
    elif job.data.dataset == "synthetic" and job.data.options:
        from hybridmpi.learning.datasets.synthetic import check_options

        yield partial(check_options, job.data.options)
    if not job.problem.is_own and is_from_torchvision(job.model.name):
        yield partial(check_model, job.model.name)
    if job.optimizer.name.lower() != "sgd" or job.optimizer.options or job.optimizer.groups:
        from hybridmpi.engines.problem import groups_of
        from hybridmpi.learning.optimizer import check_optimizer

        groups = groups_of(job)
        yield partial(check_optimizer, job.optimizer.name, job.optimizer.options, groups)


def _check_options(job: Job) -> None:
    from hybridmpi.learning.problems.load import check_options, shipped

    check_options(job.problem.name, shipped(job.problem.name), job.problem.options)
