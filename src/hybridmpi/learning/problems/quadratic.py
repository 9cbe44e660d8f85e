"""A convex quadratic with a tridiagonal matrix and noisy gradients, as in papers on theory.

f(x) = x'Ax / 2 - b'x, where A has `diagonal` on its diagonal and `off_diagonal` beside it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hybridmpi.errors import UserError
from hybridmpi.learning.problem import Batch, Metric, Problem
from hybridmpi.learning.problems.options import check_count, check_number

Vector = NDArray[np.float64]


def quadratic(
    dimension: int = 1729,
    noise: float = 0.01,
    diagonal: float = 0.5,
    off_diagonal: float = -0.25,
    b: float | Sequence[float] = (-0.25,),
    start: float | Sequence[float] | None = None,
    samples: int = 1_000_000,
) -> Problem:
    """Return the problem of minimising a quadratic.

    A sample is one call of a gradient oracle, so that a batch of n samples has the noise divided by
    sqrt(n). The default is the one of arXiv 2501.16168, section "Experiments".

    Args:
        dimension: d, the length of x.
        noise: Standard deviation of each coordinate of one sample's gradient; 0 for exact ones.
        diagonal: Of A.
        off_diagonal: Of A.
        b: Of f: one number for all coordinates, or the first few of them; the others are 0.
        start: x at version 0, likewise; sqrt(d) in the first coordinate and 0 elsewhere, if not
            given.
        samples: How many make an epoch.

    Returns:
        Metrics `suboptimality`, f(x) - f*, and `gradient_norm`, the norm of Ax - b.

    Raises:
        UserError: If an argument is unfit, or A is not positive definite.
    """
    check_count("quadratic", "dimension", dimension)
    check_count("quadratic", "samples", samples)
    check_number("quadratic", "noise", noise, at_least=0)
    made = Quadratic(
        dimension,
        float(noise),
        _number("diagonal", diagonal),
        _number("off_diagonal", off_diagonal),
        _coordinates("b", b, dimension),
        _coordinates("start", [math.sqrt(dimension)] if start is None else start, dimension),
    )
    return Problem(
        model=made.model,
        training=Calls(samples),
        test=Calls(1),
        loss=made.loss,
        metrics={
            "suboptimality": Metric(made.suboptimality, per="model", meaning="f(x) - f*"),
            "gradient_norm": Metric(
                made.gradient_norm, per="model", meaning="Euclidean norm of f's gradient"
            ),
        },
    )


class Point(nn.Module):
    """A model that is nothing but a vector x."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.x = nn.Parameter(start)


@dataclass(frozen=True)
class Calls:
    """Samples without content: calls of a gradient oracle, of which only the number counts."""

    count: int
    draws: ClassVar[bool] = False

    def __len__(self) -> int:
        return self.count

    def take(self, indices: Tensor) -> Batch:
        """Return the numbers themselves."""
        return indices


class Quadratic:
    """f, its gradient, and how far a point is from the optimum."""

    def __init__(
        self,
        dimension: int,
        noise: float,
        diagonal: float,
        off_diagonal: float,
        b: Vector,
        start: Vector,
    ) -> None:
        # The eigenvalues of a tridiagonal Toeplitz matrix.
        smallest = diagonal - 2 * abs(off_diagonal) * math.cos(math.pi / (dimension + 1))
        if smallest <= 0:
            raise _error(
                f"A with {diagonal} on the diagonal and {off_diagonal} beside it has the "
                f"eigenvalue {smallest:.3g}, so that there is no minimum; raise option diagonal "
                "above twice the absolute value of off_diagonal"
            )
        self._noise = noise
        self._diagonal = diagonal
        self._off_diagonal = off_diagonal
        self._b = torch.from_numpy(b)
        self._b32 = self._b.float()
        self._start = torch.from_numpy(start).float()

    def model(self) -> nn.Module:
        """Return a model at the start."""
        return Point(self._start.clone())

    def loss(self, model: nn.Module, batch: Tensor) -> Tensor:
        """Return f(x), and in training the noise times x, so that the gradient has the noise."""
        x: Tensor = model.x  # type: ignore[assignment]
        point, b = x.detach(), self._b32.to(x.device)
        product = self._times(point)
        value = point @ (product / 2 - b)
        gradient = product.sub_(b)
        if model.training and self._noise:
            noise = torch.randn_like(point).mul_(self._noise / math.sqrt(len(batch)))
            value = value + point @ noise
            gradient += noise
        found: Tensor = _WithGradient.apply(x, value, gradient)
        return found

    def suboptimality(self, model: nn.Module) -> float:
        """Return f(x) - f* = (x - x*)'A(x - x*) / 2, without cancellation."""
        apart = self._point(model) - self._optimum
        return float(apart @ self._times(apart)) / 2

    def gradient_norm(self, model: nn.Module) -> float:
        """Return the Euclidean norm of f's gradient."""
        return float((self._times(self._point(model)) - self._b).norm())

    def _times(self, x: Tensor) -> Tensor:
        """Return Ax."""
        product = x * self._diagonal
        product[1:].add_(x[:-1], alpha=self._off_diagonal)
        product[:-1].add_(x[1:], alpha=self._off_diagonal)
        return product

    @cached_property
    def _optimum(self) -> Tensor:
        return torch.from_numpy(
            solve_tridiagonal(self._diagonal, self._off_diagonal, self._b.numpy())
        )

    @staticmethod
    def _point(model: nn.Module) -> Tensor:
        x: Tensor = model.x  # type: ignore[assignment]
        return x.detach().cpu().double()


class _WithGradient(torch.autograd.Function):
    """A value whose gradient is given."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        del x
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return outer[0] * gradient, None, None


def solve_tridiagonal(diagonal: float, off_diagonal: float, b: Vector) -> Vector:
    """Solve Ax = b by elimination, without pivoting, which a positive definite A does without."""
    ratios, x = np.empty(len(b)), np.empty(len(b))
    ratio = value = 0.0
    for i, right in enumerate(b.tolist()):
        pivot = diagonal - off_diagonal * ratio
        ratio, value = off_diagonal / pivot, (right - off_diagonal * value) / pivot
        ratios[i], x[i] = ratio, value
    for i in range(len(b) - 2, -1, -1):
        x[i] -= ratios[i] * x[i + 1]
    return x


def _coordinates(option: str, given: float | Sequence[float], dimension: int) -> Vector:
    if isinstance(given, int | float):
        return np.full(dimension, _number(option, given))
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) > dimension:
        raise _error(
            f"option {option} is {given!r}, but must be a number, or a list of at most "
            f"{dimension} numbers"
        )
    vector = np.zeros(dimension)
    vector[: len(given)] = [_number(option, value) for value in given]
    return vector


def _number(option: str, given: Any) -> float:
    check_number("quadratic", option, given)
    return float(given)


def _error(what: str) -> UserError:
    return UserError(f"problem 'quadratic': {what}")
