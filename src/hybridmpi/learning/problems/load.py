"""Finding a problem by the name that a job gives it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from hybridmpi.core.randomness import torch_seed
from hybridmpi.errors import UserError, nearest
from hybridmpi.learning.imports import import_function
from hybridmpi.learning.names import check_problem
from hybridmpi.learning.problem import Problem
from hybridmpi.learning.settings import surroundings_kept


class Source(Protocol):
    """Where a problem comes from; it is sent to all ranks."""

    @property
    def is_made_by_readers(self) -> bool:
        """Whether only ranks that read samples make it, and send it on without them."""

    def make(self) -> Problem:
        """Return the problem, or raise UserError."""


@dataclass(frozen=True)
class NamedSource:
    """A problem that ships with this package, or the user's own.

    Attributes:
        name: One of `names.PROBLEMS`, or "package.module:function".
        options: The function's keyword arguments.
    """

    name: str
    options: Mapping[str, Any]
    is_made_by_readers: ClassVar[bool] = False

    def make(self) -> Problem:
        """Call the function that makes the problem, with torch's generator seeded.

        Raises:
            UserError: If there is none, it raises, or returns something else.
        """
        import torch

        subject = f"problem.name is '{self.name}'"
        with surroundings_kept(f"{subject}, which"):
            function = _own(self.name) if ":" in self.name else shipped(self.name)
        if isinstance(function, Problem):
            if self.options:
                raise UserError(
                    f"{subject}, which is a problem and no function, so that it takes no "
                    f"problem.options, but was given {', '.join(self.options)}"
                )
            return replace(function, subject=subject)
        if ":" not in self.name:
            check_options(self.name, function, self.options)
        with torch.random.fork_rng(devices=[]), surroundings_kept(f"{subject}, which"):
            torch.manual_seed(torch_seed(0, "problem"))
            return replace(_called(subject, function, self.options), subject=subject)


@dataclass(frozen=True)
class GivenSource:
    """A problem that a script made itself, on each rank."""

    problem: Problem
    is_made_by_readers: ClassVar[bool] = False

    def make(self) -> Problem:
        """Return it."""
        return self.problem


def shipped(name: str) -> Callable[..., Problem]:
    """Return the function that makes one of our problems."""
    match name:
        case "language":
            from hybridmpi.learning.problems.language import language

            return language
        case "logistic":
            from hybridmpi.learning.problems.logistic import logistic

            return logistic
        case "quadratic":
            from hybridmpi.learning.problems.quadratic import quadratic

            return quadratic
        case "regression":
            from hybridmpi.learning.problems.regression import regression

            return regression
    check_problem(name)
    raise AssertionError(name)  # images come from a job's [data] and [model]


def check_options(name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse options that a problem of ours does not have.

    Raises:
        UserError: If there is one.
    """
    parameters = inspect.signature(function).parameters
    for option in options:
        if option not in parameters:
            raise UserError(
                f"problem '{name}' has no option '{option}'; {nearest(option, parameters)}"
            )


def _own(path: str) -> Any:
    found = import_function(path, "problem.name", or_kind=Problem)
    if isinstance(found, Problem):
        return found
    said = getattr(found, "__annotations__", {}).get("return")
    name = said.rpartition(".")[2] if isinstance(said, str) else getattr(said, "__name__", "")
    if name != Problem.__name__:
        raise UserError(
            f"problem.name is '{path}', but that function does not say that it returns a problem; "
            "annotate it: def make(...) -> hybridmpi.Problem"
        )
    return found


def _called(subject: str, function: Callable[..., Any], options: Mapping[str, Any]) -> Problem:
    try:
        problem = function(**options)
    except UserError:
        raise
    except Exception as error:  # whatever the user's function raises is the user's to mend
        raise UserError(
            f"{subject}, but the function raised {type(error).__name__}: {error}; it was called "
            f"with problem.options {dict(options)}"
        ) from error
    if not isinstance(problem, Problem):
        raise UserError(
            f"{subject}, but the function returned {type(problem).__name__}; it must return a "
            "hybridmpi.Problem"
        )
    return problem
