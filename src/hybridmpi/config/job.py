"""The sections of a job file and their fields."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from hybridmpi.config.changes import Changes
from hybridmpi.config.paths import AnyPath, PathText
from hybridmpi.config.problem import ProblemSection, out_of_place, without_fields_of_images
from hybridmpi.config.schedules import (
    AnyCurve,
    AnySchedule,
    Constant,
    Count,
    Join,
    Linear,
    Positive,
    Rate,
    Seconds,
    Table,
    ends,
    evaluate_expressions,
    shrinks_without_end,
)
from hybridmpi.config.simulate import SimulateSection
from hybridmpi.core.aggregation import Aggregation
from hybridmpi.core.epoch import LastBatch
from hybridmpi.core.presets import PRESETS, Preset
from hybridmpi.core.schedule import Schedule, constant, over
from hybridmpi.core.server import AfterPush, Limits, Method
from hybridmpi.core.staleness import (
    ACCEPT,
    CANCEL,
    StalenessRule,
    damp_inverse,
    damp_inverse_sqrt,
    damp_power,
    discard_from,
)
from hybridmpi.errors import nearest


class RunSection(Table):
    """When a run ends, and where its file goes."""

    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63), Changes.RESULT] = 0
    """every random draw is a function of it"""
    time_limit_s: Annotated[Positive | None, Changes.END] = None
    """seconds on the training clock"""
    gradient_limit: Annotated[Count | None, Changes.END] = None
    """number of pushes"""
    step_limit: Annotated[Count | None, Changes.END] = None
    """number of server steps"""
    epoch_limit: Annotated[Positive | None, Changes.END] = None
    """passes over the training set, counted in samples pushed by all workers"""
    output: Annotated[PathText, Changes.PLACE] = "runs/{job}-{preset}-seed{seed}.h5"
    """the run file; {job}, {preset} and {seed} are filled in"""
    transport: Annotated[Literal["auto", "messages", "shared"], Changes.RANKS] = "auto"
    """how gradients and parameters move under MPI: in shared memory within a node, by messages, or
    auto: shared if there is enough of it"""
    device: Annotated[Literal["auto", "cpu", "cuda"], Changes.RANKS] = "auto"
    """where workers compute under MPI: cuda spreads them over a node's GPUs; auto: cuda where there
    is one"""
    server_threads: Annotated[Count | None, Changes.RANKS] = None
    """threads of the server's steps under MPI; by default those that its node's workers leave, at
    least 1"""
    straggler_limit_s: Annotated[Seconds, Changes.RANKS] = 30.0
    """seconds to wait, at the end, for workers that still compute"""
    non_finite_limit: Annotated[Count, Changes.END] = 10
    """the run fails after this many gradients with NaN or infinity in a row"""
    keep_snapshots: Annotated[bool, Changes.RESULT] = False
    """keep the parameters of every evaluation in the run file"""

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        limits = (self.time_limit_s, self.gradient_limit, self.step_limit, self.epoch_limit)
        if limits == (None,) * 4:
            raise ValueError(
                "the run has no end; set time_limit_s, gradient_limit, step_limit or epoch_limit"
            )
        return self


class StaleTable(Table):
    """What happens to a push that was computed at an older version than the server's."""

    rule: Literal["accept", "discard", "cancel", "inverse", "inverse-sqrt", "power"]
    """accept; discard when it arrives; cancel: a step makes computing workers start anew; or accept
    with less weight, tau being the staleness in steps: inverse 1/tau, inverse-sqrt 1/sqrt(1 + tau),
    power (1 + tau)^-exponent"""
    limit: Count | None = None
    """discard: the smallest staleness, in steps, that is discarded"""
    exponent: Positive | None = None
    """power: the exponent"""

    @model_validator(mode="after")
    def _check_parameters(self) -> Self:
        if (self.limit is not None) != (self.rule == "discard"):
            raise ValueError("`limit` goes with rule 'discard', which needs it, and no other")
        if (self.exponent is not None) != (self.rule == "power"):
            raise ValueError("`exponent` goes with rule 'power', which needs it, and no other")
        return self

    def as_rule(self) -> StalenessRule:
        """Return the core's rule."""
        match self.rule:
            case "discard" if self.limit is not None:
                return discard_from(self.limit)
            case "power" if self.exponent is not None:
                return damp_power(self.exponent)
            case "cancel":
                return CANCEL
            case "inverse":
                return damp_inverse()
            case "inverse-sqrt":
                return damp_inverse_sqrt()
        return ACCEPT


class MethodSection(Table):
    """The method: a preset, and what it leaves open."""

    preset: Annotated[str, Changes.RESULT] = "hybrid"
    """a known method; it fixes what is not given below"""
    threshold: Annotated[AnySchedule | None, Changes.RESULT] = None
    """number of buffered gradients that triggers a step; sync, async and ringmaster fix it"""
    aggregation: Annotated[Aggregation, Changes.RESULT] = "mean"
    """how K gradients become one: mean, sum, or sqrt (sum / sqrt(K))"""
    after_push: Annotated[AfterPush | None, Changes.RESULT] = None
    """a worker waits for the step that contains its gradient, or continues at once"""
    stale: Annotated[StaleTable | None, Changes.RESULT] = None
    """what happens to stale pushes"""
    broadcast: Annotated[Literal["waiting", "collective"], Changes.RESULT_UNDER_MPI] = "waiting"
    """new parameters go to the workers that wait, or by one Ibcast per step to all"""

    @field_validator("preset")
    @classmethod
    def _check_preset(cls, preset: str) -> str:
        if preset not in PRESETS:
            raise ValueError(f"there is no preset '{preset}'; {nearest(preset, PRESETS)}")
        return preset

    @field_validator("stale", mode="before")
    @classmethod
    def _name_only(cls, stale: Any) -> Any:
        return {"rule": stale} if isinstance(stale, str) else stale

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, given: Any) -> Any:
        """Write what the preset says into the fields that were not given."""
        name = given.get("preset", "hybrid") if isinstance(given, dict) else None
        if not isinstance(name, str) or name not in PRESETS:
            return given
        fixed = _fields_of(PRESETS[name])
        threshold = {"threshold": fixed["threshold"]} if "threshold" in fixed else {}
        return {**fixed, **given, **threshold}

    @model_validator(mode="after")
    def _check_open_fields(self) -> Self:
        preset = PRESETS[self.preset]
        if self.stale is None:
            raise ValueError(
                f"preset '{self.preset}' needs the staleness from which pushes are discarded: "
                "stale = { rule = 'discard', limit = 10 }"
            )
        if self.threshold is None or (preset.constant and not isinstance(self.threshold, Constant)):
            example = "{ schedule = 'step', initial = 1, increment = 1, every = '3/lr' }"
            if preset.constant:
                example = "{ schedule = 'constant', value = 4 }"
            raise ValueError(f"preset '{self.preset}' needs a threshold like {example}")
        return self

    @field_validator("threshold")
    @classmethod
    def _check_threshold(cls, table: AnyCurve | None) -> AnyCurve | None:
        for piece in table.pieces if isinstance(table, Join) else [table] if table else []:
            smallest = 0 if isinstance(piece, Linear) else 1  # the paper's begins at 0
            if min(ends(piece)) < smallest:
                raise ValueError(
                    f"the threshold is {min(ends(piece)):g}, but must be at least {smallest}; "
                    "1 is asynchronous, the number of workers is synchronous"
                )
        return table

    @property
    def fields_of_preset(self) -> frozenset[str]:
        """The fields that are as the preset has them."""
        own = self.model_dump(include={"threshold", "after_push", "stale"}, exclude_defaults=True)
        preset = _fields_of(PRESETS[self.preset])
        return frozenset(name for name, value in preset.items() if own.get(name) == value)

    @property
    def is_collective(self) -> bool:
        """Whether every step is one broadcast over all ranks."""
        return self.broadcast == "collective"

    @property
    def cancels(self) -> bool:
        """Whether a step makes computing workers abandon their batch."""
        return self.stale is not None and self.stale.rule == "cancel"

    def as_protocol(self, learning_rate: Schedule) -> Method:
        """Return the core's method."""
        if self.threshold is None or self.after_push is None or self.stale is None:
            raise TypeError("the preset has not been filled in")
        return Method(
            threshold=self.threshold.as_function(),
            learning_rate=learning_rate,
            aggregation=self.aggregation,
            after_push=self.after_push,
            stale=self.stale.as_rule(),
        )


def _fields_of(preset: Preset) -> dict[str, Any]:
    """Return what a preset says, as it would stand in a job file."""
    fields: dict[str, Any] = {"after_push": preset.after_push}
    if preset.stale != "discard":
        fields["stale"] = {"rule": preset.stale}
    elif preset.stale_limit is not None:
        fields["stale"] = {"rule": "discard", "limit": preset.stale_limit}
    if preset.threshold is not None:
        fields["threshold"] = {"schedule": "constant", "value": preset.threshold}
    return fields


class DataSection(Table):
    """The training and test set, and how it is shared out."""

    dataset: Annotated[str, Changes.RESULT] = "digits"
    """digits, mnist, fashion-mnist, cifar10, synthetic, or your own package.module:function"""
    root: Annotated[AnyPath | None, Changes.PLACE] = None
    """folder that holds the data set, packed or unpacked"""
    download: Annotated[bool, Changes.PLACE] = False
    """download what is missing into root, on one rank per node"""
    batch_size: Annotated[Count, Field(lt=2**31), Changes.RESULT] = 32
    """samples per gradient"""
    last_batch: Annotated[LastBatch, Changes.RESULT] = "spread"
    """what happens to the samples of a shard that don't fill a batch at the end of an epoch: spread
    over the epoch's other batches, kept as a short last batch, or dropped from this epoch"""
    validation: Annotated[float, Field(strict=True, ge=0, le=0.9), Changes.RESULT] = 0.0
    """share of the training set that is held out; runs are evaluated on it instead of the test set,
    for tuning"""
    shards: Annotated[
        Literal["stride", "contiguous", "dirichlet", "dirichlet-equal"], Changes.RESULT
    ] = "stride"
    """stride deals a shuffled set out in turn; contiguous cuts it; dirichlet is non-IID by class,
    and dirichlet-equal with shards of one size"""
    concentration: Annotated[Positive, Changes.RESULT] = 0.5
    """dirichlet: small is very uneven, large is even"""
    normalize: Annotated[bool, Changes.RESULT] = True
    """subtract the training set's mean and divide by its deviation, per channel"""
    augmentation: Annotated[tuple[Literal["flip", "crop"], ...], Changes.RESULT] = ()
    """flip left and right at random; crop at random after padding by 4 pixels"""
    options: Annotated[dict[str, JsonValue], Changes.RESULT] = Field(default_factory=dict)
    """synthetic: samples, shape, classes, seed; your own function: its keyword arguments"""

    @property
    def evaluated_on(self) -> Literal["test", "validation"]:
        """The set that `test_loss` and `test_accuracy` are of."""
        return "validation" if self.validation else "test"


class ModelSection(Table):
    """The network."""

    name: Annotated[str, Changes.RESULT] = "mnist_cnn"
    """mnist_cnn, lenet, a torchvision classifier, or your own package.module:function"""
    precision: Annotated[Literal["float32", "bfloat16"], Changes.RESULT] = "float32"
    """of the forward and backward pass; bfloat16 under torch's autocast, where parameters,
    gradients and evaluations stay float32"""
    initial: Annotated[AnyPath | None, Changes.RESULT] = None
    """start from these weights (safetensors)"""


class ParameterGroup(Table):
    """Parameters that are stepped in another way than the others."""

    learning_rate_factor: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 1.0
    """factor of the learning rate"""
    weight_decay: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None = None
    """in place of the optimizer's own"""


class OptimizerSection(Table):
    """The server's optimizer: one of torch.optim, with its options as further fields."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)
    __pydantic_extra__: dict[str, JsonValue]

    name: Annotated[str, Changes.RESULT] = "sgd"
    """torch.optim's name, in any case"""
    learning_rate: Annotated[Rate, Changes.RESULT] = 0.01
    """a number, or a table like the threshold's"""
    clip_norm: Annotated[Positive | None, Changes.RESULT] = None
    """largest norm of the aggregated gradient"""
    clip_value: Annotated[Positive | None, Changes.RESULT] = None
    """largest absolute value in the aggregated gradient"""
    groups: Annotated[dict[str, ParameterGroup], Changes.RESULT] = Field(default_factory=dict)
    """parameters that are stepped in another way: a table for each pattern of names, such as
    "*.bias"; the first pattern that a name matches counts"""

    @field_validator("learning_rate", mode="wrap")
    @classmethod
    def _check_learning_rate(cls, given: Any, handler: Any) -> Any:
        if isinstance(given, (int, float)) and not 0 < given < math.inf:
            raise ValueError(f"the learning rate is {given}, but must be above 0 and finite")
        rate = handler(given)
        if isinstance(rate, float):
            return rate
        passed = list(dict.fromkeys((rate.curve()(0), *ends(rate))))
        if passed[0] == 0 or not all(0 <= value < math.inf for value in passed):
            raise ValueError(
                f"the learning rate goes through {passed}, but must begin above 0 and stay finite"
            )
        if shrinks_without_end(rate):
            raise ValueError("the learning rate falls below 0; give `final`, where it stops")
        return rate

    @property
    def initial_learning_rate(self) -> float:
        """The learning rate of the first step, which 'lr' stands for."""
        if isinstance(self.learning_rate, float):
            return self.learning_rate
        return self.learning_rate.curve()(0)

    def as_function(self) -> Schedule:
        """Return the learning rate as a schedule, a function of a run's progress."""
        if isinstance(self.learning_rate, float):
            return over("steps", constant(self.learning_rate))
        return self.learning_rate.as_function()

    @property
    def options(self) -> dict[str, JsonValue]:
        """The optimizer's own options, as given."""
        return dict(self.__pydantic_extra__ or {})


class DelaysSection(Table):
    """A random extra wait per gradient in some of the workers."""

    fraction: Annotated[float, Field(strict=True, ge=0, le=1), Changes.RESULT] = 0.0
    """fraction of the workers, rounded down, that are delayed; the seed chooses which"""
    min_s: Annotated[Seconds, Changes.RESULT] = 0.0
    """shortest wait, seconds"""
    max_s: Annotated[Seconds, Changes.RESULT] = 0.0
    """longest wait, seconds; waits are uniform in between"""

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.min_s > self.max_s:
            raise ValueError(f"min_s is {self.min_s}, but must not exceed max_s ({self.max_s})")
        return self


class EvaluationSection(Table):
    """When parameters are snapshotted; they are evaluated outside the training clock."""

    every_s: Annotated[Positive | None, Changes.RESULT] = None
    """seconds between snapshots: 0, every_s, ... up to the time limit"""
    every_steps: Annotated[Count | None, Changes.RESULT] = None
    """steps between snapshots"""
    batch_size: Annotated[Annotated[Count, Field(lt=2**31)] | None, Changes.PLACE] = None
    """samples evaluated at a time; by default as many as have activations of 64 MiB, 200 at most"""


class CheckpointSection(Table):
    """When the run's whole state is written down, to go on from with --resume."""

    every_s: Annotated[Positive | None, Changes.PLACE] = None
    """seconds of real time between checkpoints"""
    every_steps: Annotated[Count | None, Changes.PLACE] = None
    """steps between checkpoints"""
    keep: Annotated[Count, Changes.PLACE] = 2
    """how many of the newest stay"""


class FaultsSection(Table):
    """What happens under MPI when a worker is lost, where MPI survives that (Open MPI's ULFM)."""

    timeout_s: Annotated[Positive | None, Changes.RANKS] = 600.0
    """seconds after which a worker that computes is given up, and its process killed where the
    server can; none: never"""
    min_workers: Annotated[Count, Changes.RANKS] = 1
    """the run fails when fewer are left"""
    lost_shard: Annotated[Literal["redistribute", "drop"], Changes.RESULT_UNDER_MPI] = (
        "redistribute"
    )
    """the training samples of a lost worker are shared out among the others, or left out"""


class Job(Table):
    """A whole job."""

    run: RunSection
    """when the run ends; set at least run.time_limit_s"""
    method: MethodSection
    problem: ProblemSection = Field(default_factory=ProblemSection)
    data: DataSection = Field(default_factory=DataSection)
    model: ModelSection = Field(default_factory=ModelSection)
    optimizer: OptimizerSection = Field(default_factory=OptimizerSection)
    delays: DelaysSection = Field(default_factory=DelaysSection)
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    checkpoint: CheckpointSection = Field(default_factory=CheckpointSection)
    faults: FaultsSection = Field(default_factory=FaultsSection)
    simulate: SimulateSection = Field(default_factory=SimulateSection)

    @model_validator(mode="before")
    @classmethod
    def _evaluate_expressions(cls, job: Any) -> Any:
        """Fill in the paper's forms: '3/lr' is 3 over the initial learning rate."""
        if not isinstance(job, dict):
            return job
        method = job.get("method", {})  # checked where it is missing, too: it needs a threshold
        if not isinstance(method, dict) or "threshold" not in method:
            return {**job, "method": method}
        try:
            optimizer = OptimizerSection.model_validate(job.get("optimizer", {}))
            learning_rate = optimizer.initial_learning_rate
        except ValidationError:
            learning_rate = 1.0  # what is wrong is reported with the optimizer itself
        threshold = evaluate_expressions(method["threshold"], learning_rate)
        return {**job, "method": {**method, "threshold": threshold}}

    @model_validator(mode="before")
    @classmethod
    def _check_problem(cls, job: Any) -> Any:
        if isinstance(job, dict) and (names := list(out_of_place(job))):
            raise ValueError(
                f"problem.name is '{job['problem']['name']}', which brings its own samples and "
                f"model, but {' and '.join(names)} {'is' if len(names) == 1 else 'are'} given, "
                "for images; leave one of them out, or use problem.options"
            )
        return job

    @model_validator(mode="after")
    def _check_images(self) -> Self:
        if self.problem.options and not self.problem.is_own:
            raise ValueError(
                "problem.options go with a problem.name of yours or 'language', 'logistic', "
                "'quadratic', 'regression'; images are described in [data] and [model]"
            )
        return self

    @model_serializer(mode="wrap")
    def _write(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_fields_of_images(handler(self))

    @model_validator(mode="after")
    def _check_transport(self) -> Self:
        if self.run.transport == "shared" and self.method.is_collective:
            raise ValueError(
                "run.transport is 'shared', but method.broadcast = 'collective' goes by messages; "
                "leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _check_timeout(self) -> Self:
        timeout_s, max_s = self.faults.timeout_s, self.delays.max_s
        if timeout_s is not None and timeout_s <= max_s:
            raise ValueError(
                f"faults.timeout_s is {timeout_s:g}, but a delayed worker may take "
                f"delays.max_s = {max_s:g} longer than others; raise it well above that"
            )
        return self

    def as_protocol(self) -> Method:
        """Return the core's method."""
        return self.method.as_protocol(self.optimizer.as_function())

    def limits(self, training_samples: int) -> Limits:
        """Return the core's limits for a training set of this size."""
        run = self.run
        return Limits(
            time_s=run.time_limit_s or math.inf,
            gradients=run.gradient_limit or math.inf,
            steps=run.step_limit or math.inf,
            samples=run.epoch_limit * training_samples if run.epoch_limit else math.inf,
        )

    def output(self, name: str) -> Path:
        """Return the run file's path; `name` is the job file's, without suffix."""
        filled = self.run.output.replace("{job}", name).replace("{preset}", self.method.preset)
        return Path(filled.replace("{seed}", str(self.run.seed)))
