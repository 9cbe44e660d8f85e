"""Schedules: values that follow the progress of a run.

A schedule is a plain function from `Progress` to a number, made by a factory. Thresholds and
learning rates are both schedules. `over` binds a function of n to the count it is about:
gradients, steps or seconds.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

Unit = Literal["gradients", "steps", "seconds"]
Curve = Callable[[float], float]


class Progress(NamedTuple):
    """How far a run is: pushes that arrived, steps taken, seconds on the training clock."""

    gradients: int
    steps: int
    seconds: float


Schedule = Callable[[Progress], float]


def over(unit: Unit, curve: Curve) -> Schedule:
    """Count n of `curve` in gradients, steps or seconds."""
    match unit:
        case "gradients":
            return lambda progress: curve(progress.gradients)
        case "steps":
            return lambda progress: curve(progress.steps)
        case "seconds":
            return lambda progress: curve(progress.seconds)


def constant(value: float) -> Curve:
    """Return `value` at every n."""
    return lambda _: value


def step(initial: float, increment: float, every: float, final: float | None = None) -> Curve:
    """Return initial + increment x floor(n / every), which stops at `final`.

    Source: arXiv 2407.00101, the step threshold (there `every` is 3 or 5 times 1/learning rate).
    """
    return _bounded(lambda n: initial + increment * (n // every), increment, final)


def linear(initial: float, slope: float, final: float | None = None) -> Curve:
    """Return initial + slope x n, which stops at `final`.

    Source: arXiv 2407.00101, the linear threshold (there slope is the learning rate).
    """
    return _bounded(lambda n: initial + slope * n, slope, final)


def polynomial(initial: float, final: float, power: float, duration: float) -> Curve:
    """Return initial + (final - initial) x (n / duration)^power, and `final` from then on."""
    return lambda n: initial + (final - initial) * min(n / duration, 1.0) ** power


def exponential(initial: float, factor: float, every: float, final: float | None = None) -> Curve:
    """Return initial x factor^(n / every), which stops at `final`."""

    def curve(n: float) -> float:
        exponent = math.log(factor) * n / every
        return initial * math.exp(min(exponent, 700.0))  # stay below the largest float

    return _bounded(curve, initial * (factor - 1), final)


def join(curves: Sequence[Curve], boundaries: Sequence[float]) -> Curve:
    """Follow one curve after the other; each counts n from the boundary at which it begins."""
    starts = (0.0, *boundaries)
    if len(curves) != len(starts) or any(a >= b for a, b in pairwise(starts)):
        raise ValueError(
            f"{len(curves)} curves need {len(curves) - 1} growing boundaries above 0, "
            f"not {list(boundaries)}"
        )

    def curve(n: float) -> float:
        index = sum(n >= boundary for boundary in boundaries)
        return curves[index](n - starts[index])

    return curve


def _bounded(curve: Curve, direction: float, final: float | None) -> Curve:
    if final is None:
        return curve
    bound = min if direction > 0 else max
    return lambda n: bound(curve(n), final)
