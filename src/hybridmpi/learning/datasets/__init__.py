"""Data sets: the known ones, synthetic ones, and a user's own."""

from hybridmpi.learning.datasets.data_set import DataSet
from hybridmpi.learning.datasets.load import load_dataset
from hybridmpi.learning.names import DATA_SETS

__all__ = ["DATA_SETS", "DataSet", "load_dataset"]
