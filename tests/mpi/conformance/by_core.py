"""Plays a scenario with the core alone: no clock, no transport, every version and gradient kept."""

import torch
from record import Record
from scenarios import WORKERS, Scenario
from script import Happening
from torch import Tensor

from hybridmpi.core.messages import Accumulate, Instruction, Push, Release, Step
from hybridmpi.core.server import ParameterServer
from hybridmpi.core.worker import Compute, Worker
from hybridmpi.engines.learners import Learners


def play(scenario: Scenario) -> Record:
    """Play a scenario to its end."""
    torch.set_num_threads(1)
    engine = _Engine(scenario)
    for happening in scenario.script.happenings:
        engine.carry_out(engine.happen(happening), happening.time_s)
        if happening.has_signal:
            engine.carry_out(engine.core.stop("signal"), happening.time_s)
    assert engine.core.is_finished, "the script ends before the run"
    engine.record.final = engine.versions[-1].numpy().tobytes()
    return engine.record


class _Engine:
    def __init__(self, scenario: Scenario) -> None:
        job = scenario.job()
        self.learners = Learners(job, WORKERS)
        limits = job.limits(self.learners.training_samples)
        self.core = ParameterServer(job.as_protocol(), limits, scenario.present)
        self.record = Record()
        self.versions = [self.learners.initial]
        self.gradients: list[Tensor] = []
        self.workers = {number: Worker(number) for number in range(1, WORKERS + 1)}
        self.tasks: dict[int, Compute] = {}
        self.sent: dict[int, Push] = {}

    def happen(self, happening: Happening) -> list[Instruction]:
        worker, now_s = happening.worker, happening.time_s
        match happening.kind:
            case "start":
                return self.core.start()
            case "push":
                push = self.sent.pop(worker, None) or self.push(worker)
                return self.core.receive(push, now_s)
            case "send":
                self.sent[worker] = self.push(worker)
            case "lose":
                self.sent.pop(worker, None)
                return self.core.lose(worker, now_s)
            case "join":
                return self.core.join(worker)
            case "limit":
                return self.core.stop("time limit")
        return []

    def push(self, worker: int) -> Push:
        task, row = self.tasks[worker], torch.empty_like(self.versions[0])
        gradient = self.learners.compute(worker, task.batch, self.versions[task.version], row)
        self.gradients.append(row)
        return self.workers[worker].push(
            loss=gradient.loss,
            samples=gradient.samples,
            is_finite=gradient.is_finite,
            row=len(self.gradients) - 1,
        )

    def carry_out(self, instructions: list[Instruction], now_s: float) -> None:
        update = self.learners.update
        for instruction in instructions:
            self.record.told.append((now_s, instruction))
            match instruction:
                case Accumulate(push, weight):
                    update.accumulate(self.gradients[push.row], weight, push.samples)
                case Step(scale=scale, learning_rate=learning_rate):
                    self.versions.append(torch.empty_like(self.versions[0]))
                    update.step(*self.versions[-2:], scale, learning_rate)
                case Release(workers, version):
                    for worker in workers:
                        self.tasks[worker] = self.workers[worker].release(version)
