"""The handwritten digits that come with scikit-learn: 8x8 grey, no download.

Source: Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (its test part).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridmpi.errors import UserError
from hybridmpi.learning.datasets.data_set import DataSet

Array = NDArray[Any]

TEST_EVERY = 5


def digits() -> DataSet:
    """Read the digits; every fifth sample of each class, in the set's order, is for testing.

    The split is the same for every run, whatever its seed.

    Returns:
        1,442 training and 355 test images, uint8, [n, 1, 8, 8]: the 17 grey levels 0..16 are
        stretched to 0..255.

    Raises:
        UserError: If scikit-learn isn't installed.
    """
    samples, labels = _read()
    is_test = _rank_in_class(labels) % TEST_EVERY == TEST_EVERY - 1
    inputs = np.rint(samples * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)

    def part(mask: Array) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(inputs[mask]), torch.from_numpy(labels[mask])

    return DataSet(
        "digits", *part(~is_test), *part(is_test), num_classes=10, mean=(0.3052,), std=(0.3760,)
    )


def _read() -> tuple[Array, Array]:
    """Read scikit-learn's file directly: importing it costs each rank a second of start-up."""
    scikit_learn = find_spec("sklearn")
    if scikit_learn is None or scikit_learn.origin is None:
        raise UserError("data set 'digits' comes with scikit-learn, but that is not installed")
    path = Path(scikit_learn.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(path, np.uint8, delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)


def _rank_in_class(labels: Array) -> Array:
    """Count, for each sample, the samples of its class before it."""
    ranks = np.empty_like(labels)
    for label in np.unique(labels):
        members = labels == label
        ranks[members] = np.arange(members.sum())
    return ranks
