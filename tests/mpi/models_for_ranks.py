"""A user's own models and data, some misbehaving; named `models_for_ranks:function`."""

import ctypes
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mpi4py import MPI
from torch import Tensor, nn

from hybridmpi.learning.datasets import DataSet
from hybridmpi.learning.datasets.digits import digits

Shape = tuple[int, int, int]
SLOW_EVALUATION_S = 0.2
SLOW_GRADIENT_S = 0.5


class Dense(nn.Module):
    """One hidden layer, and what `disturb` makes of a batch's output.

    `disturb` is given the output and the batch's number, counted from 0 on each rank.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        disturb: Callable[[Tensor, int], Tensor] = lambda output, _: output,
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(shape[0] * shape[1] * shape[2], 32)
        self.output = nn.Linear(32, classes)
        self._disturb = disturb
        self._calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.output(self.hidden(inputs.flatten(1)).relu())
        if not self.training:
            return output
        self._calls += 1
        return self._disturb(output, self._calls - 1)


def small(shape: Shape, classes: int) -> nn.Module:
    return Dense(shape, classes)


def convolutional(shape: Shape, classes: int) -> nn.Module:
    size = 4 * (shape[1] - 2) * (shape[2] - 2)
    return nn.Sequential(
        nn.Conv2d(shape[0], 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(size, classes)
    )


def drawing_and_remembering(shape: Shape, classes: int) -> nn.Module:
    """Draw random numbers (dropout), and keep running statistics (batch normalization)."""
    features = shape[0] * shape[1] * shape[2]
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(features, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(32, classes),
    )


class _Changing(nn.Module):
    """Changes its parameters in several ways, and its inputs, in every forward pass."""

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(shape[0] * shape[1] * shape[2], 16)
        self.twin = nn.Linear(16, 16)
        self.words = nn.Embedding(4, 16, max_norm=0.5)
        self.output = nn.Linear(16, classes)
        self.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))

    def forward(self, inputs: Tensor) -> Tensor:
        inputs -= 0.1
        with torch.no_grad():
            self.hidden.weight.clamp_(-0.2, 0.2)
        self.twin.weight.data.mul_(0.99)
        self.output.weight.data = self.output.weight.data * 1.01
        hidden = self.hidden(inputs.flatten(1)) + self.words(inputs[:, 0, 0, 0].abs().long() % 4)
        output: Tensor = self.output(self.twin(hidden.relu()))
        return output


def changing(shape: Shape, classes: int) -> nn.Module:
    return _Changing(shape, classes)


class _SlowToEvaluate(Dense):
    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            time.sleep(SLOW_EVALUATION_S)
        return super().forward(inputs)


def slow_to_evaluate(shape: Shape, classes: int) -> nn.Module:
    return _SlowToEvaluate(shape, classes)


def without_parameters(shape: Shape, classes: int) -> nn.Module:
    del shape, classes
    return nn.Flatten()


def raising_when_built(shape: Shape, classes: int) -> nn.Module:
    raise ValueError(f"no model for {shape} and {classes} classes")


def raising_on_rank_2(shape: Shape, classes: int) -> nn.Module:
    def disturb(output: Tensor, batch: int) -> Tensor:
        if MPI.COMM_WORLD.rank == 2 and batch == 3:
            raise ArithmeticError("this batch cannot be computed")
        return output

    return Dense(shape, classes, disturb)


def ending_on_rank_2(shape: Shape, classes: int) -> nn.Module:
    """Rank 2's process ends at its 4th batch as the variable ENDS says: a call and its argument."""
    name, _, argument = os.environ.get("ENDS", "").partition(" ")
    ends: dict[str, Callable[[int], Any]] = {
        "os._exit": os._exit,
        "sys.exit": sys.exit,
        "_exit": lambda code: ctypes.CDLL(None)._exit(code),
        "kill": lambda number: os.kill(os.getpid(), number),
    }

    def disturb(output: Tensor, batch: int) -> Tensor:
        if MPI.COMM_WORLD.rank == 2 and batch == 3:
            ends[name](int(argument))
        return output

    return Dense(shape, classes, disturb)


def ending_when_built_on_rank_2(shape: Shape, classes: int) -> nn.Module:
    if MPI.COMM_WORLD.rank == 2:
        os._exit(3)
    return Dense(shape, classes)


def sometimes_nan_on_rank_2(shape: Shape, classes: int) -> nn.Module:
    def disturb(output: Tensor, batch: int) -> Tensor:
        is_bad = MPI.COMM_WORLD.rank == 2 and batch % 4 == 1
        return output * torch.nan if is_bad else output

    return Dense(shape, classes, disturb)


def always_nan(shape: Shape, classes: int) -> nn.Module:
    return Dense(shape, classes, lambda output, _: output * torch.inf)


def one_sample(root: Path | None) -> DataSet:
    """Return a data set that two workers cannot share."""
    del root
    inputs, labels = torch.zeros(1, 1, 8, 8), torch.zeros(1, dtype=torch.int64)
    return DataSet("one sample", inputs, labels, inputs, labels, num_classes=2)


def digits_with_an_overflow(root: Path | None, sample: int) -> DataSet:
    """Return the digits, one of which overflows when it is normalised."""
    del root
    plain = digits()
    train, test = plain.train_inputs / 255, plain.test_inputs / 255
    train[sample] = torch.finfo(torch.float32).max
    labels, test_labels = plain.train_labels, plain.test_labels
    return DataSet("overflow", train, labels, test, test_labels, 10, mean=(0.0,), std=(0.5,))


def under_adverse_conditions(shape: Shape, classes: int) -> nn.Module:
    """One gradient in a hundred is NaN, rank 1 is very slow, and the clock on the wall jumps."""
    hours = itertools.count()
    time.time = lambda: 1e9 - 3600.0 * next(hours)

    def disturb(output: Tensor, _: int) -> Tensor:
        if MPI.COMM_WORLD.rank == 1:
            time.sleep(SLOW_GRADIENT_S)
        return output * torch.nan if torch.rand(()) < 0.01 else output

    return Dense(shape, classes, disturb)
