"""A data set in memory: images and their classes, for training and for testing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hybridmpi.errors import UserError
from hybridmpi.learning.datasets.conversion import as_count, as_inputs, as_labels, as_numbers


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images with one class each, checked when made.

    `mean` and `std` say how a batch is normalised: (x - mean) / std per channel, where x is
    inputs / 255 for uint8 and the inputs themselves for float32. Without them a batch is x.

    What is given may also be numpy arrays or lists, of other floating-point types or integers, on
    another device, or in need of a gradient; `mean` and `std` may be single numbers. The fields
    hold what is said beside them.

    Raises:
        UserError: If something can't be taken, or the parts don't fit each other.
    """

    name: str
    train_inputs: Tensor  # uint8 or float32, [n, channels, height, width]
    train_labels: Tensor  # int64, [n], each in 0..num_classes - 1
    test_inputs: Tensor  # as train_inputs, with its own n
    test_labels: Tensor
    num_classes: int
    mean: tuple[float, ...] | None = None  # one per channel
    std: tuple[float, ...] | None = None  # one per channel, above 0

    def __post_init__(self) -> None:
        self._take("num_classes", as_count)
        for part in ("train", "test"):
            self._take(f"{part}_inputs", as_inputs)
            count = len(getattr(self, f"{part}_inputs"))
            self._take(f"{part}_labels", as_labels, count, self.num_classes)
        self._check_same_kind()
        self._take_normalisation()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one sample."""
        channels, height, width = self.train_inputs.shape[1:]
        return channels, height, width

    def _take(self, field: str, convert: Callable[..., Any], *facts: int) -> None:
        """Put what a conversion makes of a field in its place."""
        try:
            taken = convert(getattr(self, field), *facts)
        except ValueError as error:
            raise self._error(f"{field} {error}") from error
        object.__setattr__(self, field, taken)  # the fields are frozen, for others

    def _error(self, message: str) -> UserError:
        return UserError(f"data set '{self.name}': {message}")

    def _check_same_kind(self) -> None:
        train, test = self.train_inputs, self.test_inputs
        if train.dtype != test.dtype or train.shape[1:] != test.shape[1:]:
            raise self._error(
                f"train_inputs are {train.dtype} of shape {list(train.shape)} and test_inputs "
                f"{test.dtype} of shape {list(test.shape)}, but may differ in their number only"
            )

    def _take_normalisation(self) -> None:
        if self.mean is None and self.std is None:
            return
        if self.mean is None or self.std is None:
            raise self._error(
                f"mean is {self.mean} and std is {self.std}, but must be both None or both given"
            )
        self._take("mean", as_numbers, self.shape[0])
        self._take("std", as_numbers, self.shape[0])
        if min(self.std) <= 0:
            raise self._error(f"std is {self.std}, but must be above 0 for each channel")
        if self.train_inputs.dtype == torch.uint8 and max(self.mean) > 1:
            raise self._error(
                f"mean is {self.mean}, but uint8 inputs are divided by 255 first, so that it must "
                "lie in 0..1; divide mean and std by 255, too"
            )
