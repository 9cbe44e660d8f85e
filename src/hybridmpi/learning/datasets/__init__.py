"""Data sets: the known ones, synthetic ones, and a user's own."""

from hybridmpi.learning.datasets.data_set import DataSet
from hybridmpi.learning.datasets.load import NAMES, load_dataset

__all__ = ["NAMES", "DataSet", "load_dataset"]
