"""Finding a data set by its name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybridmpi.learning.datasets.cifar10 import cifar10
from hybridmpi.learning.datasets.data_set import DataSet
from hybridmpi.learning.datasets.digits import digits
from hybridmpi.learning.datasets.mnist import mnist
from hybridmpi.learning.datasets.own import own_data_set
from hybridmpi.learning.datasets.synthetic import synthetic_from
from hybridmpi.learning.names import check_data_set


def load_dataset(
    name: str,
    root: Path | None = None,
    *,
    download: bool = False,
    options: Mapping[str, Any] | None = None,
) -> DataSet:
    """Load a data set into memory.

    Args:
        name: One of `names.DATA_SETS`, or "package.module:function" for the user's own: see
            `own_data_set`.
        root: The folder to read files from; "digits" and "synthetic" need none.
        download: Fetch missing files into `root`; let one process per file system do so first.
        options: Arguments of `synthetic` or of the user's own function; the others take none.

    Raises:
        UserError: If the name is unknown, files are missing or damaged, or an option is unfit.
    """
    options = options or {}
    if ":" in name:
        return own_data_set(name, root, options)
    if name == "synthetic":
        return synthetic_from(options)
    check_data_set(name, root, options)
    match name:
        case "digits":
            return digits()
        case "mnist" | "fashion-mnist":
            return mnist(name, root, download)
        case "cifar10":
            return cifar10(root, download)
    raise AssertionError(name)  # which check_data_set would have refused
