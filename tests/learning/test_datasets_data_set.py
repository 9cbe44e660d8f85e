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


INPUTS = torch.arange(120.0).view(3, 2, 4, 5)


def in_inference_mode() -> torch.Tensor:
    with torch.inference_mode():
        return INPUTS.clone()


@pytest.mark.parametrize(
    "given",
    [
        INPUTS.double(),
        INPUTS.half(),
        INPUTS.bfloat16(),
        INPUTS.numpy(),
        INPUTS.numpy().astype(">f4"),
        INPUTS.numpy()[::-1][::-1],
        INPUTS.tolist(),
        list(INPUTS),
        INPUTS.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
        torch.nn.Parameter(INPUTS.clone()),
        in_inference_mode(),
    ],
    ids=str,
)
def test_inputs_of_other_types_are_taken(given: Any) -> None:
    taken = DataSet(**parts(train_inputs=given)).train_inputs
    assert type(taken) is torch.Tensor
    assert taken.dtype == torch.float32
    assert torch.equal(taken, INPUTS)
    assert taken.is_contiguous()
    assert not taken.requires_grad
    assert not taken.is_inference()


def test_truth_values_are_taken_as_0_and_1_and_arrays_that_are_only_read_are_copied() -> None:
    truth = (INPUTS > 7).numpy()
    truth.flags.writeable = False
    taken = DataSet(**parts(train_inputs=truth)).train_inputs
    assert torch.equal(taken, (INPUTS > 7).float())


@pytest.mark.parametrize(
    "given",
    [
        [0, 1, 2],
        range(3),
        np.array([0, 1, 2], np.uint8),
        np.array([0, 1, 2], np.uint64),
        torch.tensor([0, 1, 2]).int(),
        torch.tensor([0.0, 1.0, 2.0]),
        torch.tensor([0, 9, 1, 9, 2])[::2],
    ],
    ids=str,
)
def test_labels_of_other_types_are_taken(given: Any) -> None:
    taken = DataSet(**parts(train_labels=given)).train_labels
    assert taken.dtype == torch.int64
    assert taken.tolist() == [0, 1, 2]
    assert taken.is_contiguous()


@pytest.mark.parametrize(
    "given",
    [
        [0.5, 0.25],
        np.array([0.5, 0.25], np.float32),
        torch.tensor([[[0.5]], [[0.25]]], requires_grad=True),
    ],
    ids=str,
)
def test_mean_and_std_of_other_types_are_taken(given: Any) -> None:
    data_set = DataSet(**parts(mean=given, std=given))
    assert data_set.mean == data_set.std == (0.5, 0.25)
    hash(data_set.mean)


def test_one_number_serves_all_channels() -> None:
    data_set = DataSet(**parts(mean=0, std=np.float64(0.5), num_classes=np.int64(3)))
    assert data_set.mean == (0.0, 0.0)
    assert data_set.std == (0.5, 0.5)
    assert type(data_set.num_classes) is int


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_inputs": None}, "train_inputs is NoneType, but must be a torch tensor or a numpy"),
        ({"train_inputs": [[1], [2, 3]]}, "train_inputs is list, but must be a torch tensor"),
        ({"train_inputs": INPUTS.long()}, r"is torch.int64, .* take \.to\(torch.uint8\) of images"),
        ({"train_inputs": INPUTS.cfloat()}, "is torch.complex64, but must be torch.uint8 or"),
        ({"train_inputs": INPUTS.to("meta")}, "is torch.strided on meta, but must be a dense"),
        ({"train_inputs": INPUTS.to_sparse()}, "is torch.sparse_coo on cpu, but must be a dense"),
        ({"train_inputs": 1e300 * INPUTS.double()}, "train_inputs holds inf or nan"),
        ({"train_inputs": INPUTS[:, 0, 0, 0]}, r"has shape \[3\], .*; \[:, None, None, None\]"),
        ({"train_inputs": INPUTS[:, 0, 0]}, r"has shape \[3, 5\], .*; \[:, None, None, :\] makes"),
        ({"train_inputs": INPUTS[:, 0]}, r"has shape \[3, 4, 5\], .*; \[:, None\] makes images"),
        ({"test_inputs": torch.zeros(0, 2, 4, 5)}, r"test_inputs has shape \[0, 2, 4, 5\]"),
        ({"test_inputs": torch.full((2, 2, 4, 5), torch.nan)}, "test_inputs holds inf or nan"),
        ({"test_inputs": torch.full((2, 2, 4, 5), -torch.inf)}, "test_inputs holds inf or nan"),
        ({"train_labels": ["a", "b", "c"]}, "train_labels is list, but must be a torch tensor"),
        ({"train_labels": [0.5, 1, 2]}, "holds other than whole numbers, but must hold classes"),
        ({"train_labels": [0, 1, np.nan]}, "holds other than whole numbers, but must hold classes"),
        ({"train_labels": torch.eye(3)}, r"of shape \[3, 3\], .*; of one-hot rows take .argmax"),
        ({"train_labels": torch.zeros(3, 1)}, r"of shape \[3, 1\], .*; take \[:, 0\]"),
        ({"train_labels": torch.tensor([0, 1])}, r"of shape \[2\], but must be .* \[3\]"),
        ({"train_labels": torch.tensor([0, 1, 3])}, "holds 0 to 3, but must lie in 0..2"),
        ({"test_labels": torch.tensor([-1, 0])}, "test_labels holds -1 to 0"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"num_classes": 3.0}, "num_classes is 3.0, but must be a whole number"),
        ({"test_inputs": torch.zeros(2, 2, 4, 4)}, "may differ in their number only"),
        ({"test_inputs": torch.zeros(2, 2, 4, 5).byte()}, "may differ in their number only"),
        ({"mean": None}, "must be both None or both"),
        ({"mean": (0.5,)}, "one number for each of the 2 channels"),
        ({"mean": "ab"}, "mean is 'ab', but must hold one number for each of the 2 channels"),
        ({"std": (0.1, 0.0)}, "above 0 for each"),
        (
            {"train_inputs": INPUTS.byte(), "test_inputs": INPUTS.byte()[:2], "mean": 125},
            "uint8 inputs are divided by 255 first",
        ),
        ({"mean": (0.5, float("nan"))}, "must be finite"),
    ],
)
def test_unfit_part_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"data set 'tiny': .*{message}"):
        DataSet(**parts(**changes))
