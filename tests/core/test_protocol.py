"""Server and workers in memory: random policies, arrivals, losses and joins hold the invariants."""

import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from hybridmpi.core import schedule
from hybridmpi.core.messages import Accumulate, Discard, Push, Release, Step, Stop
from hybridmpi.core.server import Limits, Method, ParameterServer
from hybridmpi.core.staleness import (
    ACCEPT,
    CANCEL,
    damp_inverse,
    damp_inverse_sqrt,
    damp_power,
    discard_from,
)
from hybridmpi.core.worker import Worker

curves = st.one_of(
    st.builds(schedule.constant, st.floats(0, 10)),
    st.just(schedule.constant(float("inf"))),
    st.builds(schedule.step, st.floats(0, 9), st.floats(-3, 3), st.floats(0.5, 20)),
    st.builds(schedule.linear, st.floats(0, 9), st.floats(-1, 1)),
    st.builds(
        schedule.polynomial, st.floats(1, 9), st.floats(1, 9), st.floats(0.5, 3), st.floats(1, 50)
    ),
    st.builds(schedule.exponential, st.floats(1, 9), st.floats(0.5, 2), st.floats(1, 20)),
)
thresholds = st.builds(schedule.over, st.sampled_from(["gradients", "steps", "seconds"]), curves)
methods = st.builds(
    Method,
    threshold=thresholds,
    learning_rate=st.just(schedule.over("steps", schedule.constant(0.1))),
    aggregation=st.sampled_from(["mean", "sum", "sqrt"]),
    after_push=st.sampled_from(["wait", "continue"]),
    stale=st.sampled_from(
        [
            *(ACCEPT, CANCEL, discard_from(1), discard_from(3)),
            *(damp_inverse(), damp_inverse_sqrt(), damp_power(0.7)),
        ]
    ),
)
MOST_LOSSES = 8


@dataclass
class World:
    """An engine without transport: messages in flight are lists, and nothing takes time."""

    server: ParameterServer
    workers: dict[int, Worker]
    in_flight: list[Push] = field(default_factory=list)
    computing: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    stopped: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    pushed: list[Push] = field(default_factory=list)
    stepped: list[Push] = field(default_factory=list)
    discarded: list[Push] = field(default_factory=list)
    late: list[Push] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    accumulated: list[tuple[Push, float]] = field(default_factory=list)
    steps: int = 0
    losses: int = 0

    def carry_out(self, instructions):
        for instruction in instructions:
            match instruction:
                case Accumulate(push, weight):
                    self.accumulated.append((push, weight))
                case Step():
                    self.steps += 1
                    assert tuple(push for push, _ in self.accumulated) == instruction.pushes
                    weights = [instruction.scale * weight for _, weight in self.accumulated]
                    assert list(instruction.weights) == weights
                    self.accumulated.clear()
                    assert instruction.version == self.steps
                    assert len(instruction.pushes) >= instruction.threshold >= 1
                    assert instruction.threshold <= len(self.workers) - len(self.lost)
                    self.stepped += instruction.pushes
                case Discard(push, reason):
                    (self.late if reason == "late" else self.discarded).append(push)
                case Release():
                    self.releases.append(instruction)
                    self.release(instruction)
                case Stop(workers):
                    assert not set(workers) & (self.stopped | self.lost)
                    self.waiting -= set(workers)
                    self.stopped |= set(workers)

    def release(self, release):
        assert release.version == self.steps
        assert not set(release.workers) & (self.lost | self.stopped)
        was_waiting = set(release.workers) & self.waiting
        assert release.cancel or was_waiting == set(release.workers)
        active = len(self.workers) - len(self.lost) - len(self.stopped)
        if not release.cancel:
            assert release.all_wait == (len(release.workers) == active)
        for worker in release.workers:
            self.workers[worker].release(release.version)
        self.waiting -= set(release.workers)
        self.computing |= set(release.workers)

    def push(self, worker, samples, is_finite):
        """The worker's push leaves; until it arrives, a cancellation may cross it."""
        made = self.workers[worker].push(loss=0.0, samples=samples, is_finite=is_finite)
        self.computing.discard(worker)
        self.waiting.add(worker)
        self.in_flight.append(made)

    def arrive(self, push, now_s):
        self.pushed.append(push)
        self.carry_out(self.server.receive(push, now_s))

    def lose(self, worker, now_s):
        self.lost.add(worker)
        self.computing.discard(worker)
        self.waiting.discard(worker)
        self.in_flight = [push for push in self.in_flight if push.worker != worker]
        self.losses += 1
        self.carry_out(self.server.lose(worker, now_s))

    def join(self, worker):
        self.lost.discard(worker)
        self.waiting.add(worker)
        self.carry_out(self.server.join(worker))


def start(method, limits, num_workers):
    workers = {number: Worker(number) for number in range(1, num_workers + 1)}
    world = World(ParameterServer(method, limits, workers), workers, waiting=set(workers))
    world.carry_out(world.server.start())
    return world


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(),
    method=methods,
    num_workers=st.integers(1, 7),
    gradients=st.integers(1, 60),
    time_s=st.floats(1, 200),
)
def test_any_order_of_arrivals_losses_and_joins_ends_and_accounts_for_every_gradient(
    data, method, num_workers, gradients, time_s
):
    limits = Limits(gradients=gradients, time_s=time_s)
    world = start(method, limits, num_workers)
    now_s = 0.0
    for _ in range(gradients * 4 + 40 * num_workers + 4 * MOST_LOSSES):
        if not (world.computing or world.in_flight):
            break
        now_s += data.draw(st.floats(0, 2), label="passed")
        choices = [("push", w) for w in sorted(world.computing)]
        fronts = {push.worker: i for i, push in reversed(list(enumerate(world.in_flight)))}
        choices += [("arrive", i) for i in fronts.values()]  # each worker's in order
        choices += [("lose", w) for w in sorted(world.computing | world.waiting)][
            : data.draw(st.sampled_from([0, 0, 0, 0, 7])) if world.losses < MOST_LOSSES else 0
        ]
        choices += [("join", w) for w in sorted(world.lost)]
        action, which = data.draw(st.sampled_from(choices), label="event")
        if action == "push":
            world.push(
                which,
                data.draw(st.integers(1, 9)),
                data.draw(st.sampled_from([True] * 9 + [False])),
            )
        elif action == "arrive":
            arrived = world.in_flight.pop(which)
            world.arrive(arrived, now_s)
        elif action == "lose":
            world.lose(which, now_s)
        else:
            world.join(which)
        assert len(world.pushed) - len(world.late) == world.server.gradients
        accounted = len(world.stepped) + len(world.discarded) + world.server.buffered
        assert accounted == world.server.gradients
        # invariant 1: there is always one that computes or whose push is on its way
        busy = world.computing | {push.worker for push in world.in_flight}
        assert busy or world.server.is_finished
    assert world.server.is_finished
    assert world.stopped | world.lost == set(world.workers)
    places = Counter((p.worker, p.batch) for p in world.stepped + world.discarded + world.late)
    assert all(count == 1 for count in places.values())
    assert world.server.gradients <= gradients


@settings(max_examples=100, deadline=None)
@given(data=st.data(), method=methods, num_workers=st.integers(1, 6))
def test_one_gradient_of_each_batch_and_versions_never_go_back(data, method, num_workers):
    world = start(method, Limits(gradients=40), num_workers)
    while world.computing or world.in_flight:
        for worker in data.draw(st.permutations(sorted(world.computing))):
            if worker in world.computing:
                world.push(worker, 8, is_finite=True)
        order = data.draw(st.permutations(range(len(world.in_flight))))
        arriving, world.in_flight = [world.in_flight[i] for i in order], []
        for push in arriving:
            world.arrive(push, 0.0)
    for number in world.workers:
        batches = [push.batch for push in world.pushed if push.worker == number]
        versions = [push.version for push in world.pushed if push.worker == number]
        assert batches == sorted(set(batches))
        assert versions == sorted(versions)


def play(method, limits, num_workers, seed, *, resumes):
    """Play at random; with `resumes`, every now and then another server goes on."""
    world, told, chance = start(method, limits, num_workers), [], random.Random(seed)
    for number in range(400):
        if world.server.is_finished:
            break
        changes = [("join", worker) for worker in sorted(world.lost)]
        if world.losses < MOST_LOSSES:
            changes += [("lose", worker) for worker in sorted(world.computing | world.waiting)]
        busy = [("push", worker) for worker in sorted(world.computing)]
        busy += [("arrive", number) for number in range(min(1, len(world.in_flight)))]
        action, which = chance.choice(changes if changes and chance.random() < 0.1 else busy)
        now_s = 0.5 * number
        if action == "push":
            world.push(which, chance.randint(1, 9), chance.random() < 0.9)
        elif action == "arrive":
            push = world.in_flight.pop(0)
            world.pushed.append(push)
            told.append(world.server.receive(push, now_s))
            world.carry_out(told[-1])
        elif action == "lose":
            world.lose(which, now_s)
        else:
            world.join(which)
        if resumes and not world.server.stop_reason and number % 7 == seed % 7:
            world.server = ParameterServer.resumed(method, limits, world.server.state())
    return told


@settings(max_examples=100, deadline=None)
@given(method=methods, num_workers=st.integers(1, 7), seed=st.integers(0, 10**6))
def test_a_server_that_goes_on_for_another_decides_alike(method, num_workers, seed):
    limits = Limits(gradients=60)
    expected = play(method, limits, num_workers, seed, resumes=False)
    assert play(method, limits, num_workers, seed, resumes=True) == expected


@given(method=methods, gradients=st.integers(1, 30))
@settings(deadline=None)
def test_with_one_worker_every_method_steps_on_every_gradient(method, gradients):
    world = start(method, Limits(gradients=gradients), 1)
    while world.computing:
        world.push(1, 8, is_finite=True)
        world.arrive(world.in_flight.pop(), 0.0)
    assert [push.batch for push in world.stepped] == list(range(gradients))
    assert world.steps == gradients
