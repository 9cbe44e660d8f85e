"""The [simulate] section: the machine that a simulated run takes place on."""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from hybridmpi.config.changes import Changes
from hybridmpi.config.paths import AnyPath
from hybridmpi.config.schedules import Count, Seconds, Table
from hybridmpi.config.worker_rule import WorkerRule, values_of

Factor = Annotated[float, Field(strict=True, gt=0, lt=1e9, allow_inf_nan=False)]
Bandwidth = Annotated[float, Field(strict=True, ge=1, allow_inf_nan=False)]
Probability = Annotated[float, Field(strict=True, ge=0, lt=1)]


class Jitter(Table):
    """A random factor of each compute time, with mean 1."""

    distribution: Literal["constant", "lognormal", "exponential", "pareto", "empirical"] = (
        "constant"
    )
    """constant, lognormal, exponential, pareto, or empirical: drawn from `factors`"""
    sigma: Factor | None = None
    """lognormal: standard deviation of the factor's logarithm"""
    shape: Annotated[float, Field(strict=True, gt=1, allow_inf_nan=False)] | None = None
    """pareto: tail index, above 1; the smaller, the more stragglers"""
    factors: tuple[Factor, ...] = ()
    """empirical: factors, each drawn with equal probability; taken as they are"""

    @model_validator(mode="after")
    def _check_parameters(self) -> Self:
        needed = {"lognormal": "sigma", "pareto": "shape", "empirical": "factors"}
        own = needed.get(self.distribution)
        for name in needed.values():
            if bool(getattr(self, name)) != (name == own):
                verb = "needs" if name == own else "does not take"
                raise ValueError(f"jitter '{self.distribution}' {verb} `{name}`")
        return self


class SimulateSection(Table):
    """The machine of a simulated run; `hybridmpi train` takes no notice of it.

    A list gives one value per worker, and begins anew where there are more workers than values.
    """

    workers: Annotated[Count, Field(le=1_000_000), Changes.RESULT_IN_SIMULATION] = 25
    """number of gradient workers"""
    compute_fixed_s: Annotated[Seconds, Changes.RESULT_IN_SIMULATION] = 0.0
    """seconds of computing per gradient, whatever the batch"""
    compute_per_sample_s: Annotated[Seconds, Changes.RESULT_IN_SIMULATION] = 0.001
    """seconds of computing per sample"""
    jitter: Annotated[Jitter, Changes.RESULT_IN_SIMULATION] = Field(default_factory=Jitter)
    """random factor of each compute time"""
    slowness: Annotated[
        Annotated[
            Annotated[tuple[Factor, ...], Tag("list of numbers")]
            | Annotated[WorkerRule, Tag("rule of numbers")],
            Discriminator(
                lambda given: "rule of numbers" if isinstance(given, str) else "list of numbers"
            ),
        ],
        Changes.RESULT_IN_SIMULATION,
    ] = (1.0,)
    """factor of the compute times, per worker: 2 is half as fast; a list, or a rule of the worker's
    number i from 1: "1 + sqrt(i)" grows with it"""
    latency_s: Annotated[tuple[Seconds, ...], Changes.RESULT_IN_SIMULATION] = (0.0,)
    """seconds that a message takes besides its bytes, per worker"""
    bandwidth_bytes_per_s: Annotated[tuple[Bandwidth, ...], Changes.RESULT_IN_SIMULATION] = ()
    """bytes per second of a message, per worker; unlimited if not given"""
    loss: Annotated[tuple[Probability, ...], Changes.RESULT_IN_SIMULATION] = (0.0,)
    """probability that a message is lost and sent again, per worker"""
    resend_s: Annotated[Seconds, Changes.RESULT_IN_SIMULATION] = 0.2
    """seconds until a lost message is sent again"""
    workers_per_host: Annotated[Count | None, Changes.RESULT_IN_SIMULATION] = None
    """workers that share a host's cores; if not given, each has cores of its own"""
    cores_per_host: Annotated[Count, Changes.RESULT_IN_SIMULATION] = 1
    """cores of a host with several workers; each worker uses at most one at a time"""
    server_per_gradient_s: Annotated[Seconds, Changes.RESULT_IN_SIMULATION] = 0.0
    """seconds that the server is busy with each push"""
    server_per_step_s: Annotated[Seconds, Changes.RESULT_IN_SIMULATION] = 0.0
    """seconds that the server is busy with each step, besides its last push"""
    message_bytes: Annotated[
        Annotated[Count, Field(le=10**12)] | None, Changes.RESULT_IN_SIMULATION
    ] = None
    """bytes of a gradient, and of the parameters; the model's, if not given"""
    trace: Annotated[AnyPath | None, Changes.RESULT_IN_SIMULATION] = None
    """CSV file of who is there when: columns time_s, worker, event (join or leave)"""
    fresh_gradients: Annotated[bool, Changes.RESULT_IN_SIMULATION] = False
    """compute each gradient at the newest parameters when its push arrives, in place of those that
    its worker was released with: the same times and steps, but nothing stale; for ablations"""
    learning: Annotated[bool, Changes.RESULT_IN_SIMULATION] = True
    """compute gradients; false simulates the protocol alone, without data and model"""

    def slowness_by_worker(self) -> list[float]:
        """Return the factor of each of the workers 1..N."""
        if isinstance(self.slowness, str):
            factors: list[float] = values_of(self.slowness, self.workers).tolist()
            return factors
        return [self.slowness[i % len(self.slowness)] for i in range(self.workers)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.compute_fixed_s + self.compute_per_sample_s <= 0:
            raise ValueError(
                "a gradient takes no time; set compute_fixed_s or compute_per_sample_s above 0"
            )
        for name in ("slowness", "latency_s", "loss"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` is an empty list; give at least one value")
        if isinstance(self.slowness, str):
            values_of(self.slowness, self.workers)
        if not self.learning and self.bandwidth_bytes_per_s and self.message_bytes is None:
            raise ValueError(
                "without a model (learning = false) the size of a message is not known; "
                "give message_bytes"
            )
        return self
