from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
import torch

from hybridmpi.errors import UserError
from hybridmpi.learning.datasets import DataSet


def parts(**changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "train_inputs": torch.zeros(3, 2, 4, 5),
        "train_labels": torch.tensor([0, 1, 2]),
        "test_inputs": torch.zeros(2, 2, 4, 5),
        "test_labels": torch.tensor([2, 0]),
        "num_classes": 3,
        "mean": (0.5, 0.25),
        "std": (0.1, 0.2),
    } | changes


def test_fitting_parts_are_accepted_and_frozen() -> None:
    data_set = DataSet(**parts())
    assert data_set.shape == (2, 4, 5)
    with pytest.raises(FrozenInstanceError):
        data_set.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_inputs": np.zeros((3, 2, 4, 5))}, "train_inputs is ndarray"),
        ({"train_inputs": torch.zeros(3, 2, 4, 5).double()}, "train_inputs is torch.float64"),
        ({"train_inputs": torch.zeros(3, 4, 5)}, r"train_inputs has shape \[3, 4, 5\]"),
        ({"test_inputs": torch.zeros(0, 2, 4, 5)}, r"test_inputs has shape \[0, 2, 4, 5\]"),
        ({"test_inputs": torch.full((2, 2, 4, 5), torch.nan)}, "test_inputs holds inf or nan"),
        ({"test_inputs": torch.full((2, 2, 4, 5), -torch.inf)}, "test_inputs holds inf or nan"),
        ({"train_labels": [0, 1, 2]}, "train_labels is list"),
        ({"train_labels": torch.tensor([0, 1])}, r"of shape \[2\], but must be .* \[3\]"),
        ({"train_labels": torch.tensor([0, 1, 2]).int()}, "train_labels is torch.int32"),
        ({"train_labels": torch.tensor([0, 1, 3])}, "holds 0 to 3, but must lie in 0..2"),
        ({"test_labels": torch.tensor([-1, 0])}, "test_labels holds -1 to 0"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"test_inputs": torch.zeros(2, 2, 4, 4)}, "may differ in their number only"),
        ({"test_inputs": torch.zeros(2, 2, 4, 5).byte()}, "may differ in their number only"),
        ({"mean": None}, "must be both None or both"),
        ({"mean": (0.5,)}, "one number for each of the 2 channels"),
        ({"std": (0.1, 0.0)}, "above 0 for each"),
        ({"mean": (0.5, float("nan"))}, "must be finite"),
    ],
)
def test_unfit_part_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"data set 'tiny': .*{message}"):
        DataSet(**parts(**changes))
