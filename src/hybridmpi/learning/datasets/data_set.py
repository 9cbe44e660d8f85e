"""A data set in memory: images and their classes, for training and for testing."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridmpi.errors import UserError


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images with one class each, checked when made.

    `mean` and `std` say how a batch is normalised: (x - mean) / std per channel, where x is
    inputs / 255 for uint8 and the inputs themselves for float32. Without them a batch is x.

    Raises:
        UserError: If the parts don't fit each other.
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
        if self.num_classes < 1:
            raise self._error(f"num_classes is {self.num_classes}, but must be at least 1")
        self._check_inputs("train_inputs", self.train_inputs)
        self._check_inputs("test_inputs", self.test_inputs)
        self._check_labels("train_labels", self.train_labels, len(self.train_inputs))
        self._check_labels("test_labels", self.test_labels, len(self.test_inputs))
        self._check_same_kind()
        self._check_normalisation()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one sample."""
        channels, height, width = self.train_inputs.shape[1:]
        return channels, height, width

    def _error(self, message: str) -> UserError:
        return UserError(f"data set '{self.name}': {message}")

    def _check_inputs(self, field: str, inputs: Tensor) -> None:
        if not isinstance(inputs, Tensor):
            raise self._error(f"{field} is {type(inputs).__name__}, but must be a torch tensor")
        if inputs.dtype not in (torch.uint8, torch.float32):
            raise self._error(
                f"{field} is {inputs.dtype}, but must be torch.uint8 or torch.float32"
            )
        if inputs.dim() != 4 or inputs.numel() == 0:
            raise self._error(
                f"{field} has shape {list(inputs.shape)}, but must have shape "
                "[samples, channels, height, width], each at least 1"
            )
        # The extremes show an inf or a nan without a second array as large as the inputs.
        if inputs.is_floating_point() and not torch.stack(inputs.aminmax()).isfinite().all():
            raise self._error(f"{field} holds inf or nan, but must be finite")

    def _check_labels(self, field: str, labels: Tensor, num_samples: int) -> None:
        if not isinstance(labels, Tensor):
            raise self._error(f"{field} is {type(labels).__name__}, but must be a torch tensor")
        if labels.dtype != torch.int64 or labels.shape != (num_samples,):
            raise self._error(
                f"{field} is {labels.dtype} of shape {list(labels.shape)}, but must be torch.int64 "
                f"of shape [{num_samples}], one for each of the inputs"
            )
        least, most = int(labels.min()), int(labels.max())
        if least < 0 or most >= self.num_classes:
            raise self._error(
                f"{field} holds {least} to {most}, but must lie in 0..{self.num_classes - 1}; "
                "number the classes from 0, or mend num_classes"
            )

    def _check_same_kind(self) -> None:
        train, test = self.train_inputs, self.test_inputs
        if train.dtype != test.dtype or train.shape[1:] != test.shape[1:]:
            raise self._error(
                f"train_inputs are {train.dtype} of shape {list(train.shape)} and test_inputs "
                f"{test.dtype} of shape {list(test.shape)}, but may differ in their number only"
            )

    def _check_normalisation(self) -> None:
        if self.mean is None and self.std is None:
            return
        channels = self.shape[0]
        if self.mean is None or self.std is None or {len(self.mean), len(self.std)} != {channels}:
            raise self._error(
                f"mean is {self.mean} and std is {self.std}, but must be both None or both hold "
                f"one number for each of the {channels} channels"
            )
        if not all(map(math.isfinite, self.mean + self.std)) or min(self.std) <= 0:
            raise self._error(
                f"mean is {self.mean} and std is {self.std}, but must be finite, and std above 0"
            )
