"""Regression: a network that predicts numbers, by their mean squared error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hybridmpi.core.randomness import generator
from hybridmpi.learning.problem import LOSS, Metric, Problem
from hybridmpi.learning.problems.options import check_count, check_number, option_error
from hybridmpi.learning.samples import TensorSamples

Pair = tuple[Tensor, Tensor]  # inputs, [samples, features], and targets, [samples, targets]


def regression(
    samples: int = 10_000,
    features: int = 10,
    targets: int = 1,
    noise: float = 0.1,
    hidden: Sequence[int] = (64, 64),
    seed: int = 0,
) -> Problem:
    """Return the problem of predicting smooth functions of random inputs.

    Each target is a sum of sines of random directions of the input, scaled to a variance of about
    1, plus noise.

    Args:
        samples: Training samples; a fifth as many more are for testing.
        features: Numbers of an input.
        targets: Numbers to predict.
        noise: Standard deviation of what cannot be predicted.
        hidden: Widths of the network's hidden layers.
        seed: Of the samples, not of the run.

    Returns:
        Metrics `loss`, the mean squared error, `rmse`, its root, and `mae`, the mean absolute
        error, on test samples.

    Raises:
        UserError: If an argument is unfit.
    """
    check_count("regression", "samples", samples, at_least=10)
    for option, count in (("features", features), ("targets", targets)):
        check_count("regression", option, count)
    check_number("regression", "noise", noise, at_least=0)
    check_count("regression", "seed", seed, at_least=0)
    if isinstance(hidden, str) or not isinstance(hidden, Sequence):
        raise option_error("regression", "hidden", hidden, "a list of widths")
    for width in hidden:
        check_count("regression", "hidden", width)
    made = Regression(samples, features, targets, float(noise), tuple(hidden), seed)
    return Problem(
        model=made.model,
        training=made.training,
        test=made.test,
        loss=mean_squared_error,
        metrics={
            LOSS: Metric(measure),
            "rmse": Metric(measure, transform=math.sqrt, meaning="root of the mean squared error"),
            "mae": Metric(measure, meaning="mean absolute error"),
        },
    )


def mean_squared_error(model: nn.Module, batch: Pair) -> Tensor:
    """Return the mean squared error of a batch."""
    inputs, targets = batch
    return functional.mse_loss(model(inputs), targets)


def measure(model: nn.Module, batch: Pair) -> dict[str, Tensor]:
    """Return the squared and the absolute error of each sample."""
    inputs, targets = batch
    apart: Tensor = (model(inputs) - targets).double()
    squared = apart.square().mean(1)
    return {LOSS: squared, "rmse": squared, "mae": apart.abs().mean(1)}


@dataclass(frozen=True)
class Regression:
    """The samples and the network; see `regression`."""

    samples: int
    features: int
    targets: int
    noise: float
    hidden: tuple[int, ...]
    seed: int

    def model(self) -> nn.Module:
        """Return a network of dense layers with tanh between them."""
        widths = (self.features, *self.hidden, self.targets)
        layers: list[nn.Module] = []
        for before, behind in pairwise(widths):
            layers += [nn.Linear(before, behind), nn.Tanh()]
        return nn.Sequential(*layers[:-1])

    def training(self) -> TensorSamples:
        """Draw the training samples."""
        return self._drawn("training", self.samples)

    def test(self) -> TensorSamples:
        """Draw the test samples."""
        return self._drawn("test", self.samples // 5)

    def _drawn(self, part: str, count: int) -> TensorSamples:
        waves = generator(self.seed, "regression function")
        directions = waves.standard_normal((4, self.features, self.targets))
        directions /= np.sqrt(self.features)
        shifts = waves.uniform(0, 2 * np.pi, (4, self.targets))
        rng = generator(self.seed, f"regression {part}")
        inputs = rng.standard_normal((count, self.features))
        values = np.sin(2 * np.einsum("nf,wft->nwt", inputs, directions) + shifts).sum(1)
        values = values / np.sqrt(2) + self.noise * rng.standard_normal((count, self.targets))
        return TensorSamples(
            (
                torch.from_numpy(inputs.astype(np.float32)),
                torch.from_numpy(values.astype(np.float32)),
            )
        )
