"""A data set of any size that can be learned: one prototype per class, plus noise."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybridmpi.core.randomness import generator
from hybridmpi.errors import UserError, nearest
from hybridmpi.learning.datasets.data_set import DataSet

OPTIONS = ("samples", "shape", "classes", "seed")

# Half the usual distance between two prototypes, in standard deviations of the noise, whatever the
# shape. At 3 a straight cut confuses about 0.1 % of two classes: easy, but not at once.
SEPARATION = 3.0


def synthetic(
    samples: int = 10_000,
    shape: Sequence[int] = (1, 8, 8),
    classes: int = 10,
    seed: int = 0,
) -> DataSet:
    """Make normally distributed classes.

    Args:
        samples: Training samples; a fifth as many more are for testing.
        shape: Channels, height, width.
        classes: Each holds equally many samples, give or take one.
        seed: Of the data set, not of the run: runs that are compared need the same data.

    Returns:
        float32 inputs, made to need no normalisation.

    Raises:
        UserError: If an argument is unfit.
    """
    _check(samples, shape, classes, seed)
    prototypes = generator(seed, "synthetic prototypes").standard_normal((classes, *shape))
    prototypes *= SEPARATION * np.sqrt(2 / prototypes[0].size)

    def draw(purpose: str, num_samples: int) -> tuple[Tensor, Tensor]:
        inputs = generator(seed, purpose).standard_normal((num_samples, *shape), np.float32)
        for label in range(classes):
            inputs[label::classes] += prototypes[label]
        return torch.from_numpy(inputs), torch.arange(num_samples) % classes

    train = draw("synthetic training", samples)
    test = draw("synthetic test", samples // 5)
    return DataSet("synthetic", *train, *test, num_classes=classes)


def synthetic_from(options: Mapping[str, Any]) -> DataSet:
    """Call `synthetic` with options from a job file, or raise UserError for unfit ones."""
    check_options(options)
    return synthetic(**options)


def check_options(options: Mapping[str, Any]) -> None:
    """Raise UserError for an option that is unknown or unfit."""
    for option in options:
        if option not in OPTIONS:
            raise UserError(
                f"data set 'synthetic' has no option '{option}'; {nearest(option, OPTIONS)}"
            )
    defaults = {name: each.default for name, each in signature(synthetic).parameters.items()}
    _check(**{**defaults, **options})


def _check(samples: int, shape: Sequence[int], classes: int, seed: int) -> None:
    _check_counts("classes", classes, at_least=2)
    _check_counts("samples", samples, at_least=5 * classes)  # so that each class is tested, too
    if not isinstance(shape, Sequence) or len(shape) != 3:
        raise UserError(
            f"data set 'synthetic': option shape is {shape!r}, but must be "
            "[channels, height, width]"
        )
    _check_counts("shape", *shape, at_least=1)
    _check_counts("seed", seed, at_least=0)


def _check_counts(option: str, *values: object, at_least: int) -> None:
    for value in values:
        if not isinstance(value, int) or value < at_least:
            raise UserError(
                f"data set 'synthetic': option {option} holds {value!r}, but must be a whole "
                f"number of at least {at_least}"
            )
