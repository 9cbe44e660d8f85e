"""Logistic regression with an L2 penalty on made-up samples: convex, with a known optimum."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hybridmpi.core.metrics import FRACTION, NATS
from hybridmpi.core.randomness import generator
from hybridmpi.learning.problem import LOSS, Metric, Problem
from hybridmpi.learning.problems.options import check_count, check_number
from hybridmpi.learning.samples import TensorSamples

Array = NDArray[np.float64]

_NEWTON_STEPS = 100
_PRECISION = 1e-12  # of the gradient's norm at the optimum


class Labelled(NamedTuple):
    """Features, float32, [samples, features], and labels, float32, [samples], each 0 or 1."""

    features: Tensor
    labels: Tensor


def logistic(samples: int = 10_000, features: int = 50, l2: float = 1e-3, seed: int = 0) -> Problem:
    """Return the problem of separating two classes by a hyperplane.

    f(w) is the mean over the training samples of log(1 + exp(-y w'x)), y being 1 or -1, plus
    l2 |w|^2 / 2; it is strongly convex with constant l2.

    Args:
        samples: Training samples; a fifth as many more are for testing.
        features: Their numbers, drawn from a normal distribution with a standard deviation that
            falls from 1 to 0.1, so that f is not equally steep everywhere.
        l2: Factor of the penalty, above 0.
        seed: Of the samples, not of the run.

    Returns:
        Metrics `loss` (without the penalty) and `accuracy` on test samples; `suboptimality`,
        f(w) - f*, and `gradient_norm`, both of f over all training samples.

    Raises:
        UserError: If an argument is unfit.
    """
    check_count("logistic", "samples", samples, at_least=10)
    check_count("logistic", "features", features)
    check_number("logistic", "l2", l2, at_least=1e-9)
    check_count("logistic", "seed", seed, at_least=0)
    made = Logistic(samples, features, float(l2), seed)
    return Problem(
        model=made.model,
        training=made.training,
        test=made.test,
        loss=made.loss,
        metrics={
            "suboptimality": Metric(made.suboptimality, per="model", meaning="f(w) - f*"),
            "gradient_norm": Metric(
                made.gradient_norm, per="model", meaning="Euclidean norm of f's gradient"
            ),
            "accuracy": Metric(
                measure,
                unit=FRACTION,
                higher_is_better=True,
                meaning="share of that set classified rightly, 0 to 1",
            ),
            LOSS: Metric(measure, unit=NATS),
        },
    )


def measure(model: nn.Module, batch: Labelled) -> dict[str, Tensor]:
    """Return the loss of each sample, and whether it is on its side of the hyperplane."""
    output = model(batch.features).squeeze(1)
    loss = functional.binary_cross_entropy_with_logits(output, batch.labels, reduction="none")
    return {LOSS: loss, "accuracy": (output > 0) == (batch.labels > 0.5)}


@dataclass(frozen=True)
class Logistic:
    """The samples, f over all training samples, and its optimum; see `logistic`."""

    samples: int
    features: int
    l2: float
    seed: int

    def model(self) -> nn.Module:
        """Return a model with w = 0."""
        model = nn.Linear(self.features, 1, bias=False)
        nn.init.zeros_(model.weight)
        return model

    def training(self) -> TensorSamples:
        """Draw the training samples."""
        return self._drawn("training", self.samples)

    def test(self) -> TensorSamples:
        """Draw the test samples."""
        return self._drawn("test", self.samples // 5)

    def loss(self, model: nn.Module, batch: Labelled) -> Tensor:
        """Return f's estimate from a batch."""
        output = model(batch.features).squeeze(1)
        loss = functional.binary_cross_entropy_with_logits(output, batch.labels)
        weight: Tensor = model.weight  # type: ignore[assignment]
        return loss + self.l2 / 2 * (weight * weight).sum()

    def suboptimality(self, model: nn.Module) -> float:
        """Return f(w) - f*."""
        return self._value(_weights(model)) - self._least

    def gradient_norm(self, model: nn.Module) -> float:
        """Return the Euclidean norm of f's gradient."""
        return float(np.linalg.norm(self._gradient(_weights(model))))

    def _drawn(self, part: str, count: int) -> TensorSamples:
        plane = generator(self.seed, "logistic hyperplane").standard_normal(self.features)
        rng = generator(self.seed, f"logistic {part}")
        features = rng.standard_normal((count, self.features))
        features *= np.geomspace(1.0, 0.1, self.features)
        labels = rng.random(count) < 1 / (1 + np.exp(-features @ plane))
        drawn = Labelled(
            torch.from_numpy(features.astype(np.float32)),
            torch.from_numpy(labels.astype(np.float32)),
        )
        return TensorSamples(drawn, classes=drawn.labels.long())

    @cached_property
    def _arrays(self) -> tuple[Array, Array]:
        """Features and labels 1 or -1 of all training samples."""
        drawn = self.training().tensors
        return drawn.features.double().numpy(), drawn.labels.double().numpy() * 2 - 1

    @cached_property
    def _least(self) -> float:
        """f*, by Newton's method with steps that are halved until f falls."""
        weights = np.zeros(self.features)
        for _ in range(_NEWTON_STEPS):
            gradient, value = self._gradient(weights), self._value(weights)
            if np.linalg.norm(gradient) < _PRECISION:
                break
            step, size = np.linalg.solve(self._curvature(weights), gradient), 1.0
            while size > _PRECISION and self._value(weights - size * step) > value:
                size /= 2
            weights = weights - size * step
        return self._value(weights)

    def _value(self, weights: Array) -> float:
        features, signs = self._arrays
        losses = np.logaddexp(0, -signs * (features @ weights))
        return float(losses.mean() + self.l2 / 2 * weights @ weights)

    def _gradient(self, weights: Array) -> Array:
        features, signs = self._arrays
        wrong = -signs / (1 + np.exp(signs * (features @ weights)))
        gradient: Array = features.T @ wrong / len(features) + self.l2 * weights
        return gradient

    def _curvature(self, weights: Array) -> Array:
        features, _ = self._arrays
        share = 1 / (1 + np.exp(features @ weights))
        scaled = features * (share * (1 - share))[:, None]
        curvature: Array = features.T @ scaled / len(features) + self.l2 * np.eye(self.features)
        return curvature


def _weights(model: nn.Module) -> Array:
    weight: Tensor = model.weight  # type: ignore[assignment]
    weights: Array = weight.detach().cpu().double().numpy()[0]
    return weights
