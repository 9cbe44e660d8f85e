"""The experiment file: a base job, what is varied, and what is to be decided."""

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from hybridmpi.config.explain import explain
from hybridmpi.config.load import read_tree
from hybridmpi.config.overlay import fields_of
from hybridmpi.config.paths import AnyPath
from hybridmpi.config.schedules import Count, Number, Positive, Table
from hybridmpi.errors import UserError, nearest

Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
FIRST_TUNING_SEED = 1_000_000
# What the experiment itself sets in every run.
_OWN_FIELDS = {
    "run.seed": "give the experiment's `seeds`",
    "run.output": "run files are named by the experiment",
    "data.validation": "it is set where `tune` asks for it",
}


class Decision(Table):
    """What is to be decided, fixed before the runs."""

    reference: str
    """the variant that all others are compared with"""
    variants: tuple[str, ...] = ()
    """variants that a verdict is asked for; if not given, all but the reference"""
    outcome: str | None = None
    """what decides: a metric of the runs, by its interval mean over the evaluation grid; if not
    given, their first one"""
    margin: Positive | None = None
    """differences of the outcome smaller than this don't matter; 0.005 for a fraction"""
    level: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.05
    """error probability over all comparisons together"""
    targets: dict[str, tuple[Number, ...]] = Field(default_factory=dict)
    """values whose first crossing is timed, by metric"""


class Experiment(Table):
    """Runs that are to be compared."""

    job: AnyPath
    """the base job, relative to this file"""
    seeds: tuple[Seed, ...]
    """how many seeds, counted from 0, or a list of them; the same for all variants"""
    engine: Literal["simulate", "mpi"] = "simulate"
    """simulate trains on virtual time; mpi starts ranks on this machine, one run at a time"""
    ranks: Annotated[int, Field(strict=True, ge=2)] | None = None
    """engine mpi: ranks of a run, one server and the workers"""
    tune: str | None = None
    """an axis: each method's own best value of it is found on a validation split"""
    tune_seeds: Count = 2
    """number of seeds for that; they count from 1,000,000, apart from `seeds`"""
    validation: Annotated[float, Field(strict=True, gt=0, le=0.9)] = 0.1
    """share of the training set that is held out in the runs that tune"""
    variants: Annotated[dict[str, dict[str, JsonValue]], Field(min_length=2)]
    """methods by name: tables that are laid over the base job"""
    axes: dict[str, Annotated[tuple[JsonValue, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """values of fields by their dotted names; every variant is run with every combination"""
    decision: Decision
    """what is to be decided"""

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_seeds(cls, given: Any) -> Any:
        if isinstance(given, int) and not isinstance(given, bool):
            if not 1 <= given <= FIRST_TUNING_SEED:
                raise ValueError(f"must be 1 to {FIRST_TUNING_SEED:,} or a list, not {given}")
            return range(given)
        return given

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds:
            raise ValueError("needs at least one seed")
        _refuse_twice(seeds)
        return seeds

    @field_validator("axes", mode="before")
    @classmethod
    def _name_axes(cls, given: Any) -> Any:
        return dict(fields_of(given)) if isinstance(given, dict) else given

    @field_validator("axes")
    @classmethod
    def _check_axes(cls, axes: dict[str, tuple[JsonValue, ...]]) -> dict[str, Any]:
        for name, values in axes.items():
            _refuse_own_field(name)
            try:
                _refuse_twice([label(value) for value in values])
            except ValueError as error:
                raise ValueError(f"{name} {error}") from None
        return axes

    @field_validator("variants")
    @classmethod
    def _check_variants(cls, variants: dict[str, Any]) -> dict[str, Any]:
        for variant in variants.values():
            for name, _ in fields_of(variant):
                _refuse_own_field(name)
        return variants

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_engine()
        self._check_tuning()
        self._check_decision()
        for variant, table in self.variants.items():
            for name, _ in fields_of(table):
                if name in self.axes:
                    raise ValueError(
                        f"variant '{variant}' sets {name}, which is an axis, too; keep one of them"
                    )
        return self

    def _check_engine(self) -> None:
        if (self.engine == "mpi") != (self.ranks is not None):
            raise ValueError(
                "`ranks` goes with engine 'mpi', which needs it; a simulated run has "
                "simulate.workers"
            )

    def _check_tuning(self) -> None:
        if self.tune is None:
            for name in sorted({"tune_seeds", "validation"} & self.model_fields_set):
                raise ValueError(f"`{name}` goes with `tune`, which names an axis")
            return
        if self.tune not in self.axes:
            names = nearest(self.tune, self.axes) if self.axes else "there are none"
            raise ValueError(f"`tune` names '{self.tune}', but must name an axis; {names}")
        if not all(_is_number(value) for value in self.axes[self.tune]):
            raise ValueError(f"`tune` needs an axis of numbers, but {self.tune} has other values")
        if max(self.seeds) >= FIRST_TUNING_SEED:
            raise ValueError(
                f"seeds from {FIRST_TUNING_SEED:,} on are for tuning, so that no run both tunes "
                "and decides; give smaller `seeds`"
            )

    def _check_decision(self) -> None:
        decision = self.decision
        for name in (decision.reference, *decision.variants):
            if name not in self.variants:
                raise ValueError(
                    f"`decision` names the variant '{name}'; {nearest(name, self.variants)}"
                )
        if decision.reference in decision.variants:
            raise ValueError(
                f"`decision.variants` holds the reference, '{decision.reference}', which is not "
                "compared with itself"
            )

    @property
    def compared(self) -> tuple[str, ...]:
        """The variants that a verdict is asked for."""
        others = tuple(name for name in self.variants if name != self.decision.reference)
        return self.decision.variants or others

    @property
    def tuning_seeds(self) -> range:
        """The seeds of the runs that tune."""
        return range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + self.tune_seeds)


def load_experiment(path: Path) -> Experiment:
    """Read an experiment file; `job` becomes a path that can be opened from here.

    Raises:
        UserError: If the file cannot be read or a field is wrong; all wrong fields are named.
    """
    try:
        experiment = Experiment.model_validate(read_tree(path, kind="experiment"))
    except ValidationError as error:
        lines = [explain(details, Experiment) for details in error.errors()]
    except RecursionError:
        lines = ["tables are nested too deeply"]
    else:
        return experiment.model_copy(update={"job": path.parent / experiment.job})
    raise UserError(f"{path}: " + f"\n{path}: ".join(dict.fromkeys(lines)))


def label(value: JsonValue) -> str | int | float | bool:
    """Return what stands for a value of an axis: itself, or for lists and tables their text."""
    match value:
        case dict():
            return ", ".join(f"{name}={label(item)}" for name, item in value.items()) or "{}"
        case list():
            return ", ".join(str(label(item)) for item in value) or "[]"
        case None:
            return "none"
    return value


def _refuse_own_field(name: str) -> None:
    if name in _OWN_FIELDS:
        raise ValueError(f"{name} cannot be varied; {_OWN_FIELDS[name]}")


def _refuse_twice(values: Iterable[Any]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ValueError(f"holds {twice[0]} twice; give each value once")


def _is_number(value: JsonValue) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)  # type: ignore[arg-type]
