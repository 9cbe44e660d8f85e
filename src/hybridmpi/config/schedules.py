"""Schedules as tables of a job file, for thresholds and learning rates alike."""

import math
import re
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from hybridmpi.core import schedule as curves
from hybridmpi.core.schedule import Curve, Schedule, Unit, over

# Strict: `true` and "3" are no numbers.
# In these bounds no schedule gives anything but a number, however long a run is.
Number = Annotated[float, Field(strict=True, ge=-1e15, le=1e15, allow_inf_nan=False)]
Length = Annotated[float, Field(strict=True, ge=1e-9, le=1e15, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(strict=True, gt=0, le=1e15, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=1)]
# Below 1e9: 30 years, and no product of such numbers is too large for virtual nanoseconds.
Seconds = Annotated[float, Field(strict=True, ge=0, lt=1e9, allow_inf_nan=False)]


class Table(BaseModel):
    """A table of a job file: frozen, and closed to fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Scheduled(Table, ABC):
    """A curve over n, and what n counts."""

    unit: Unit = "gradients"
    """what n counts: gradients, steps or seconds"""

    @abstractmethod
    def curve(self) -> Curve:
        """Return the curve over n."""

    def as_function(self) -> Schedule:
        """Return the schedule, a function of a run's progress."""
        return over(self.unit, self.curve())


class Constant(Scheduled):
    """The same value throughout."""

    schedule: Literal["constant"]
    value: Annotated[
        Annotated[Number, Tag("number")] | Annotated[Literal["workers"], Tag("workers")],
        Discriminator(lambda given: "workers" if given == "workers" else "number"),
    ]
    """the value; "workers" is the number of active workers (thresholds only)"""

    def curve(self) -> Curve:  # noqa: D102
        return curves.constant(math.inf if self.value == "workers" else float(self.value))


class Step(Scheduled):
    """initial + increment x floor(n / every)."""

    schedule: Literal["step"]
    initial: Number = 1.0
    """the value at n = 0"""
    increment: Number = 1.0
    """what is added every `every`; negative shrinks"""
    every: Length
    """length of a step, in units of n; "3/lr" is 3 over the initial learning rate"""
    final: Number | None = None
    """the value at which it stops"""

    def curve(self) -> Curve:  # noqa: D102
        return curves.step(self.initial, self.increment, self.every, self.final)


class Linear(Scheduled):
    """initial + slope x n."""

    schedule: Literal["linear"]
    initial: Number = 0.0
    """the value at n = 0"""
    slope: Number
    """what is added per n; "lr" is the initial learning rate; negative shrinks"""
    final: Number | None = None
    """the value at which it stops"""

    def curve(self) -> Curve:  # noqa: D102
        return curves.linear(self.initial, self.slope, self.final)


class Polynomial(Scheduled):
    """initial + (final - initial) x (n / duration)^power."""

    schedule: Literal["polynomial"]
    initial: Number = 1.0
    """the value at n = 0"""
    final: Number
    """the value from n = duration on"""
    power: Factor = 1.0
    """1 is a straight line"""
    duration: Length
    """n at which it reaches `final`"""

    def curve(self) -> Curve:  # noqa: D102
        return curves.polynomial(self.initial, self.final, self.power, self.duration)


class Exponential(Scheduled):
    """initial x factor^(n / every)."""

    schedule: Literal["exponential"]
    initial: Factor = 1.0
    """the value at n = 0"""
    factor: Factor
    """what it is multiplied by every `every`; below 1 shrinks"""
    every: Length
    """length of one factor, in units of n"""
    final: Number | None = None
    """the value at which it stops"""

    def curve(self) -> Curve:  # noqa: D102
        return curves.exponential(self.initial, self.factor, self.every, self.final)


Piece = Annotated[
    Constant | Step | Linear | Polynomial | Exponential, Field(discriminator="schedule")
]


class Join(Scheduled):
    """One schedule after the other."""

    schedule: Literal["join"]
    pieces: Annotated[tuple[Piece, ...], Field(min_length=2)]
    """the schedules, in order; each counts n from its own beginning"""
    boundaries: tuple[Length, ...]
    """n at which the second, third, ... piece begins"""

    @model_validator(mode="after")
    def _check_boundaries(self) -> Self:
        growing = all(a < b for a, b in pairwise(self.boundaries))
        if len(self.boundaries) != len(self.pieces) - 1 or not growing:
            raise ValueError(
                f"{len(self.pieces)} pieces need {len(self.pieces) - 1} growing boundaries, "
                f"not {list(self.boundaries)}"
            )
        if any("unit" in piece.model_fields_set for piece in self.pieces):
            raise ValueError("the pieces count as the whole does; give `unit` there only")
        return self

    def curve(self) -> Curve:  # noqa: D102
        return curves.join([piece.curve() for piece in self.pieces], self.boundaries)


AnyCurve = Constant | Step | Linear | Polynomial | Exponential | Join
SCHEDULES: dict[str, type[AnyCurve]] = {
    "constant": Constant,
    "step": Step,
    "linear": Linear,
    "polynomial": Polynomial,
    "exponential": Exponential,
    "join": Join,
}
AnySchedule = Annotated[AnyCurve, Field(discriminator="schedule")]
# A number or a schedule; told apart first, so that an error is about the one that was meant.
Rate = Annotated[
    Annotated[Positive, Tag("number")] | Annotated[AnySchedule, Tag("table")],
    Discriminator(lambda given: "table" if isinstance(given, (dict, Scheduled)) else "number"),
]


def ends(table: AnyCurve) -> list[float]:
    """Return the values that a curve begins, and where known ends, with."""
    if isinstance(table, Join):
        return [value for piece in table.pieces for value in ends(piece)]
    if isinstance(table, Constant) or table.final is None:
        return [table.curve()(0)]
    return [table.initial, table.final]


def shrinks_without_end(table: AnyCurve) -> bool:
    """Say whether a curve falls below every bound."""
    match table:
        case Step(increment=change, final=None) | Linear(slope=change, final=None):
            return change < 0
        case Join():
            return any(shrinks_without_end(piece) for piece in table.pieces)
        case _:
            return False


_EXPRESSION = re.compile(r"(?:(?P<factor>\d[\d.]*) ?\* ?)?lr|(?P<over>\d[\d.]*) ?/ ?lr")


def evaluate_expressions(table: Any, learning_rate: float) -> Any:
    """Replace '3/lr', 'lr' and '2*lr' anywhere in a table by their numbers.

    These are the paper's forms: lr means the initial learning rate. Other text stays
    as it is, and is told as a mistake where a number belongs.
    """
    if isinstance(table, dict):
        return {key: evaluate_expressions(value, learning_rate) for key, value in table.items()}
    if isinstance(table, list):
        return [evaluate_expressions(value, learning_rate) for value in table]
    if not isinstance(table, str) or not (match := _EXPRESSION.fullmatch(table.strip())):
        return table
    try:
        if match["over"]:
            return float(match["over"]) / learning_rate
        return float(match["factor"] or 1) * learning_rate
    except ValueError:
        return table
