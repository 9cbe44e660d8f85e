"""What a job names: known data sets and models, and whether a name can be one of them.

Needs neither torch nor data, but for names of torchvision's models, which it has to be asked for.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybridmpi.errors import UserError, nearest
from hybridmpi.learning.static_check import check_function

DATA_SETS = ("digits", "mnist", "fashion-mnist", "cifar10", "synthetic")
_FROM_FILES = ("mnist", "fashion-mnist", "cifar10")
MODELS = ("mnist_cnn", "lenet")
GIVEN = "given"  # a problem that a script hands over as an object
PROBLEMS = ("images", "language", "logistic", "quadratic", "regression")


def check_data_set(name: str, root: Path | None, options: Mapping[str, Any]) -> None:
    """Refuse a data set that cannot be loaded, wherever its files may lie.

    Args:
        name: One of `DATA_SETS`, or "package.module:function".
        root: The folder of its files.
        options: Arguments of `synthetic`, which are not looked at, or of the user's own function.

    Raises:
        UserError: If the name is unknown, or root or options don't go with it.
    """
    if ":" in name:
        check_function(name, "data.dataset")
        return
    if name not in DATA_SETS:
        raise UserError(
            f"data set '{name}' is unknown (one of your own is named package.module:function); "
            + nearest(name, DATA_SETS)
        )
    if options and name != "synthetic":
        raise UserError(
            f"data set '{name}' takes no options, but was given {', '.join(options)}; remove them "
            "from data.options"
        )
    if name in _FROM_FILES:
        require_root(name, root)


def check_problem(name: str) -> None:
    """Refuse a problem that there is not.

    Raises:
        UserError: If so.
    """
    if ":" in name:
        check_function(name, "problem.name")
    elif name not in (*PROBLEMS, GIVEN):
        raise UserError(
            f"problem.name is '{name}', but must be {', '.join(PROBLEMS)} or your own as "
            f"package.module:function; {nearest(name, PROBLEMS)}"
        )


def require_root(name: str, root: Path | None) -> Path:
    """Return the folder below which data set `name` lies, or raise UserError without one."""
    if root is None:
        raise UserError(
            f"data set '{name}' is read from files, but data.root is not set; set data.root to the "
            "folder to read from, and data.download=true to fetch the files into it"
        )
    return root


def is_from_torchvision(name: str) -> bool:
    """Say whether a model's name is, or has to be, one of torchvision's."""
    return ":" not in name and name not in MODELS


def check_model(name: str) -> None:
    """Refuse a model that cannot be built, whatever its inputs; asks torchvision where it must.

    Raises:
        UserError: If so.
    """
    if ":" in name:
        check_function(name, "model.name")
    elif is_from_torchvision(name):
        from torchvision import models

        classifiers = models.list_models(module=models)
        if name not in classifiers:
            raise UserError(
                f"model.name is '{name}', but must be {' or '.join(MODELS)}, a torchvision "
                "classifier or your own as package.module:function; "
                + nearest(name, [*MODELS, *classifiers])
            )
