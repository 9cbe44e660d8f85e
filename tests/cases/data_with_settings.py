"""Data whose code changes global settings: when it is imported, and when it is called."""

from pathlib import Path

import torch
from data_as_given import words as plain_words
from nets_with_settings import change_settings

from hybridmpi.learning.datasets import DataSet

change_settings()


def words(root: Path | None) -> DataSet:
    data_set = plain_words(root)
    change_settings()
    return data_set


def of_inference(root: Path | None) -> DataSet:
    with torch.inference_mode():
        return plain_words(root)


MODE = torch.inference_mode()


def left_in_inference(root: Path | None) -> DataSet:
    data_set = plain_words(root)
    MODE.__enter__()
    return data_set
