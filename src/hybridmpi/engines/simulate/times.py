"""How long things take in a simulated run, in whole nanoseconds."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hybridmpi.config.simulate import Jitter, SimulateSection
from hybridmpi.core.delays import Delays
from hybridmpi.core.randomness import Draws

NS = 1_000_000_000


class Times(Protocol):
    """The times of a worker's batch: its release, its computation, its delay, its push."""

    def compute_ns(self, worker: int, batch: int, samples: int, /) -> int:
        """Return how long a core of its own computes the gradient; at least 1."""

    def delay_ns(self, worker: int, batch: int, /) -> int:
        """Return the extra wait behind the gradient."""

    def down_ns(self, worker: int, batch: int, /) -> int:
        """Return how long the parameters of this batch are on their way to the worker."""

    def up_ns(self, worker: int, batch: int, /) -> int:
        """Return how long the gradient of this batch is on its way to the server."""


class ModelledTimes:
    """Times as the [simulate] section gives them."""

    def __init__(
        self, section: SimulateSection, *, seed: int, delays: Delays, message_bytes: int
    ) -> None:
        """Prepare the draws.

        Args:
            section: The machine.
            seed: The run's.
            delays: The job's.
            message_bytes: Bytes of a gradient, and of the parameters.
        """
        numbers = range(section.workers)
        self._fixed_ns = section.compute_fixed_s * NS
        self._per_sample_ns = section.compute_per_sample_s * NS
        self._slowness = section.slowness_by_worker()
        self._jitter = _jitter(section.jitter, seed)
        self._delays = delays
        self._delayed = delays.delayed_workers(section.workers)
        bandwidths = section.bandwidth_bytes_per_s
        self._message_ns = [
            round(
                NS * cycled(section.latency_s, i)
                + (NS * message_bytes / cycled(bandwidths, i) if bandwidths else 0)
            )
            for i in numbers
        ]
        self._resend_ns = round(NS * section.resend_s)
        self._loss = [cycled(section.loss, i) for i in numbers]
        self._lost_down, self._lost_up = (
            Draws(seed, purpose, lambda rng, count: rng.random(count))
            for purpose in ("lost releases", "lost pushes")
        )

    def compute_ns(self, worker: int, batch: int, samples: int) -> int:  # noqa: D102
        own_ns = (self._fixed_ns + self._per_sample_ns * samples) * self._slowness[worker - 1]
        if self._jitter is not None:
            own_ns *= self._jitter.get(worker, batch)
        return max(1, round(own_ns))

    def delay_ns(self, worker: int, batch: int) -> int:  # noqa: D102
        return round(NS * self._delays.delay_s(worker, batch)) if worker in self._delayed else 0

    def down_ns(self, worker: int, batch: int) -> int:  # noqa: D102
        return self._message_ns[worker - 1] + self._resent_ns(self._lost_down, worker, batch)

    def up_ns(self, worker: int, batch: int) -> int:  # noqa: D102
        return self._message_ns[worker - 1] + self._resent_ns(self._lost_up, worker, batch)

    def _resent_ns(self, draws: Draws, worker: int, batch: int) -> int:
        """Return the time lost with messages: the number of losses is geometric."""
        loss = self._loss[worker - 1]
        if not loss:
            return 0
        return self._resend_ns * int(np.log1p(-draws.get(worker, batch)) / np.log(loss))


class RecordedTimes:
    """The compute times of a recorded run, batch by batch; the rest as modelled.

    A batch without a recorded time is given one of its worker's own.

    Attributes:
        used: How many times were asked for.
        resampled: How many of them were drawn from the worker's own.
    """

    def __init__(
        self, modelled: Times, recorded_s: Mapping[int, Mapping[int, float]], seed: int
    ) -> None:
        """Take the times.

        Args:
            modelled: Of messages and delays.
            recorded_s: For each worker the seconds of its batches, by batch number; at least one.
            seed: The run's; it chooses what is drawn again.
        """
        self.used = 0
        self.resampled = 0
        self.delay_ns, self.down_ns, self.up_ns = (
            modelled.delay_ns,
            modelled.down_ns,
            modelled.up_ns,
        )
        self._recorded_s = recorded_s
        self._own_s = {worker: list(times.values()) for worker, times in recorded_s.items()}
        self._draws = Draws(seed, "resampled times", lambda rng, count: rng.random(count))

    def compute_ns(self, worker: int, batch: int, samples: int) -> int:  # noqa: D102
        del samples
        self.used += 1
        taken_s = self._recorded_s[worker].get(batch)
        if taken_s is None:
            self.resampled += 1
            own_s = self._own_s[worker]
            taken_s = own_s[int(self._draws.get(worker, batch) * len(own_s))]
        return max(1, round(NS * taken_s))


def cycled(values: Sequence[float], index: int) -> float:
    """Return the value of one worker, out of a list that begins anew where it is too short."""
    return values[index % len(values)]


def _jitter(jitter: Jitter, seed: int) -> Draws | None:
    """Return the factors of the compute times; None where they are all 1."""
    if jitter.distribution == "constant":
        return None
    sigma, shape, factors = jitter.sigma or 1.0, jitter.shape or 2.0, np.array(jitter.factors)

    def draw(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        match jitter.distribution:
            case "lognormal":
                return rng.lognormal(-(sigma**2) / 2, sigma, count)
            case "exponential":
                return rng.exponential(1.0, count)
            case "pareto":
                return (1 + rng.pareto(shape, count)) * ((shape - 1) / shape)
        return rng.choice(factors, count)

    return Draws(seed, "compute times", draw)
