"""The simulator's time model, fitted to a recorded MPI run.

A run file tells, for every push, when the server took it and how long it was busy with it, how long
the worker had computed, and how long it had waited before. From these follow

- the round trip of a push: the wait behind it, without the time in which the step that released the
  worker was still to come, and without the server's work on that step's last push; looked at only
  where the push found the server idle, since others may have waited for it;
- the work of a gradient: its computing time, counted at the rate min(1, cores / computing) at which
  the workers of a host go on while they share its cores (`engines.simulate.host`).

The job's extra delays are drawn from its seed, so that they are known and not fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridmpi.config import Job
from hybridmpi.config.simulate import Jitter, SimulateSection
from hybridmpi.core.delays import Delays
from hybridmpi.engines.provenance import check_same_workers
from hybridmpi.errors import UserError
from hybridmpi.runlog.run import Run

Values = NDArray[np.float64]

FEWEST_GRADIENTS = 10  # per worker
_NUM_FACTORS = 40
_ALIKE = 0.1  # of a batch's samples: over less, noise hides what a sample takes
_HEADER_BYTES = 64


@dataclass(frozen=True)
class Timeline:
    """What a log tells of each push, in the order of arrival; NaN where it does not tell.

    Attributes:
        round_trip_s: Seconds that the push and the release behind it were on their way.
        message_s: Mean seconds of a message, by worker.
        delay_s: The extra wait found behind the gradient.
        drawn_delay_s: The extra wait that the job had drawn.
        work_s: Seconds that the gradient takes on a core of its own.
    """

    round_trip_s: Values
    message_s: Values
    delay_s: Values
    drawn_delay_s: Values
    work_s: Values


@dataclass(frozen=True)
class Calibration:
    """A fitted machine, and what it was fitted to."""

    section: SimulateSection
    timeline: Timeline


def calibrate(run: Run, job: Job, others: Sequence[Run] = ()) -> Calibration:
    """Fit the machine of a run.

    Args:
        run: A run under MPI.
        job: Its job.
        others: More runs on this machine, with models of other sizes: they tell latency from
            bandwidth. Without them all messages have one size, and the time of a message is given
            as latency.

    Raises:
        UserError: If a run was simulated, or has too few gradients.
    """
    for given in (run, *others):
        _check(given)
    hosts, timeline = _Hosts(run, job), reconstruct(run, job)
    per_gradient_s, per_step_s = _server_costs(run)
    latency_s, bandwidth = _network(run, timeline.message_s, others)
    samples = run.gradients.samples.to_numpy(float)
    fixed_s, per_sample_s = _compute(samples, timeline.work_s)
    slowness, factors = _variation(run, timeline.work_s / (fixed_s + per_sample_s * samples))
    section = SimulateSection(
        workers=len(run.workers),
        compute_fixed_s=_rounded(fixed_s),
        compute_per_sample_s=_rounded(per_sample_s),
        jitter=Jitter(distribution="empirical", factors=tuple(map(_rounded, factors))),
        slowness=tuple(map(_rounded, slowness)),
        latency_s=tuple(map(_rounded, latency_s)),
        bandwidth_bytes_per_s=(_rounded(bandwidth),) if bandwidth else (),
        workers_per_host=hosts.workers_per_host,
        cores_per_host=hosts.cores,
        server_per_gradient_s=_rounded(per_gradient_s),
        server_per_step_s=_rounded(per_step_s),
    )
    return Calibration(section, timeline)


def reconstruct(run: Run, job: Job) -> Timeline:
    """Say what happened between the times that a log of `job` holds."""
    gradients = run.gradients
    round_trip_s, released_s = _round_trips(run)
    message_s = _message_s(run, round_trip_s)
    one_way_s = message_s[gradients.worker.to_numpy() - 1]
    drawn_s = _drawn_delays(run, job)
    compute_s = gradients.compute_s.to_numpy()
    at_latest_s = gradients.time_s.to_numpy() - one_way_s - drawn_s - compute_s
    began_s = np.where(np.isfinite(released_s), released_s + one_way_s, at_latest_s)
    return Timeline(
        round_trip_s=round_trip_s,
        message_s=message_s,
        delay_s=gradients.time_s.to_numpy() - one_way_s - compute_s - (released_s + one_way_s),
        drawn_delay_s=drawn_s,
        work_s=_Hosts(run, job).work_s(began_s, compute_s),
    )


def _check(run: Run) -> None:
    if run.attributes["engine"] != "mpi":
        raise UserError(
            f"'{run.path}' is a simulated run, whose machine is the [simulate] section of its job "
            "(hybridmpi config shows it); give a run under MPI"
        )
    check_same_workers(run)
    counts = run.gradients.worker.value_counts().reindex(run.workers["rank"], fill_value=0)
    if counts.min() < FEWEST_GRADIENTS:
        raise UserError(
            f"'{run.path}' has {counts.min()} gradients of worker {counts.idxmin()}, but a fit "
            f"needs {FEWEST_GRADIENTS} of each worker; give a longer run"
        )


def _releasing(gradients: pd.DataFrame) -> NDArray[np.int64]:
    """Return for each push the number of the push that let its worker go on: a step's last one."""
    numbers = pd.Series(np.arange(len(gradients)))
    last = numbers.groupby(gradients.step.to_numpy()).transform("max")
    releasing: NDArray[np.int64] = np.where(gradients.step > 0, last, numbers)
    return releasing


def _round_trips(run: Run) -> tuple[Values, Values]:
    """Return each push's round trip, and when the server had released its worker; seconds."""
    gradients = run.gradients
    releasing = _releasing(gradients)
    if run.config["method"]["after_push"] == "continue":
        releasing = np.arange(len(gradients))
    time_s, server_s = gradients.time_s.to_numpy(), gradients.server_s.to_numpy()
    free_s = time_s[releasing] + server_s[releasing]
    by_worker = gradients.groupby("worker")
    follows = by_worker.batch.shift(-1) == gradients.batch + 1  # not across cancelled batches
    is_answered = gradients.accepted & (gradients.step > 0) | ~gradients.accepted
    idle_s = time_s - np.concatenate([[0.0], (time_s + server_s)[:-1]])
    found_idle = idle_s > server_s  # which includes receiving it, before time_s
    wait_s = by_worker.wait_s.shift(-1).where(follows & is_answered & found_idle)
    round_trip_s = np.maximum(wait_s.to_numpy() - (free_s - time_s), 0.0)
    before = pd.Series(free_s).groupby(gradients.worker.to_numpy()).shift(1)
    after_previous = by_worker.batch.shift(1) == gradients.batch - 1
    return round_trip_s, before.where(after_previous.to_numpy()).to_numpy()


def _message_s(run: Run, round_trip_s: Values) -> Values:
    """Return the mean seconds of a message, per worker: half of a round trip.

    Nothing is known of it, and 0 returned, where no push found the server idle.
    """
    half_s = pd.Series(round_trip_s / 2).groupby(run.gradients.worker.to_numpy()).mean()
    by_rank = half_s.reindex(run.workers["rank"])
    message_s: Values = by_rank.fillna(half_s.mean()).fillna(0.0).to_numpy()
    return message_s


def _drawn_delays(run: Run, job: Job) -> Values:
    section, gradients = job.delays, run.gradients
    delays = Delays(job.run.seed, section.fraction, section.min_s, section.max_s)
    delayed = delays.delayed_workers(len(run.workers))
    pairs = zip(gradients.worker, gradients.batch, strict=True)
    return np.array([delays.delay_s(w, b) if w in delayed else 0.0 for w, b in pairs])


class _Hosts:
    """Which workers share cores, as the simulator has it: as many on each host, in turn.

    Attributes:
        workers_per_host: How many; None if there are cores enough for all.
        cores: Of a host.
    """

    def __init__(self, run: Run, job: Job) -> None:
        names = run.workers.set_index("rank").host
        if run.attributes["engine"] == "simulate":
            self.cores = job.simulate.cores_per_host
        else:
            cores: dict[str, int] = run.attributes.table("hosts")
            self.cores = min(cores[name] for name in names.unique())
        most = int(names.value_counts().max())
        self.workers_per_host = most if most > self.cores else None
        self._host = run.gradients.worker.map(names).to_numpy()

    def work_s(self, began_s: Values, compute_s: Values) -> Values:
        """Return the seconds that each gradient would have taken on a core of its own."""
        if self.workers_per_host is None:
            return compute_s
        ended_s = began_s + compute_s
        work_s = np.empty(len(began_s))
        for name in np.unique(self._host):
            here = self._host == name
            work_s[here] = _shared_work_s(began_s[here], ended_s[here], self.cores)
        return work_s


def _shared_work_s(began_s: Values, ended_s: Values, cores: int) -> Values:
    """Integrate the rate min(1, cores / number computing) over each gradient's time."""
    times_s = np.concatenate([began_s, ended_s])
    order = np.argsort(times_s, kind="stable")
    changes = np.repeat([1, -1], len(began_s))[order]
    times_s, computing = times_s[order], np.maximum(np.cumsum(changes), 1)
    service_s = np.cumsum(np.minimum(1.0, cores / computing[:-1]) * np.diff(times_s))
    service_s = np.concatenate([[0.0], service_s])
    work_s: Values = np.interp(ended_s, times_s, service_s) - np.interp(began_s, times_s, service_s)
    return work_s


def _server_costs(run: Run) -> tuple[float, float]:
    """Return the server's mean seconds per push, and how much more per step."""
    gradients = run.gradients
    is_step = _releasing(gradients) == np.arange(len(gradients))
    is_step &= (gradients.step > 0).to_numpy()
    server_s = gradients.server_s.to_numpy()
    if is_step.all():  # asynchronous: the two cannot be told apart
        return 0.0, float(server_s.mean())
    per_gradient_s = float(server_s[~is_step].mean())
    per_step_s = float(server_s[is_step].mean()) - per_gradient_s if is_step.any() else 0.0
    return per_gradient_s, max(per_step_s, 0.0)


def _network(run: Run, message_s: Values, others: Sequence[Run]) -> tuple[Values, float]:
    """Return latencies per worker, and bytes per second, 0 for no limit."""
    points = [(_message_bytes(run), message_s.mean())]
    points += [(_message_bytes(r), _message_s(r, _round_trips(r)[0]).mean()) for r in others]
    num_bytes, seconds = np.array(points).T
    if np.ptp(num_bytes) == 0:
        return message_s, 0.0
    per_byte_s = max(float(np.polyfit(num_bytes, seconds, 1)[0]), 0.0)
    latency_s = np.maximum(message_s - per_byte_s * num_bytes[0], 0.0)
    bandwidth = 1 / per_byte_s if per_byte_s else 0.0
    return latency_s, bandwidth


def _message_bytes(run: Run) -> float:
    size: int = run.layout["size"]
    return _HEADER_BYTES + 4.0 * size


def _compute(samples: Values, work_s: Values) -> tuple[float, float]:
    """Return seconds per gradient and per sample; all per sample where batches are much alike."""
    if np.ptp(samples) <= _ALIKE * samples.mean():
        return 0.0, float(work_s.mean() / samples.mean())
    per_sample_s, fixed_s = np.polyfit(samples, work_s, 1)
    if fixed_s < 0 or per_sample_s < 0:
        return _compute(np.full_like(samples, samples.mean()), work_s)
    return float(fixed_s), float(per_sample_s)


def _variation(run: Run, relative: Values) -> tuple[Values, Values]:
    """Return each worker's factor of the compute time, and equally probable random factors.

    Args:
        run: The run.
        relative: Each gradient's work in multiples of what its samples account for.
    """
    worker = run.gradients.worker.to_numpy()
    slowness = pd.Series(relative).groupby(worker).mean().reindex(run.workers["rank"]).to_numpy()
    factors = np.sort(relative / slowness[worker - 1])
    bins = np.array_split(factors, min(_NUM_FACTORS, len(factors)))
    means = np.array([part.mean() for part in bins])
    return slowness, means / means.mean()


def _rounded(value: float) -> float:
    """Round to 4 significant digits."""
    return float(format(value, ".4g"))
