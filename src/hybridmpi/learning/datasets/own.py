"""A user's own data set, made by a function named in the job file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hybridmpi.errors import UserError
from hybridmpi.learning.datasets.data_set import DataSet
from hybridmpi.learning.imports import import_function
from hybridmpi.learning.settings import surroundings_kept


def own_data_set(path: str, root: Path | None, options: Mapping[str, Any]) -> DataSet:
    """Call the user's function and take the data set it returns.

    Args:
        path: "package.module:function"; modules in the current folder are found, too. The contract
            is `function(root: pathlib.Path | None, **options) -> DataSet`, which the function
            itself must say: no other one is called, since a job that comes from elsewhere could
            name any, with any arguments.
        root: `data.root` of the job.
        options: `data.options` of the job, passed on as keyword arguments.

    Raises:
        UserError: If the function can't be imported, does not say that it returns a data set,
            raises, or returns something else.
    """
    what = f"data.dataset is '{path}', which"
    with surroundings_kept(what):
        function = import_function(path, "data.dataset")
    if not _is_said_to_return_data_set(function):
        raise UserError(
            f"data.dataset is '{path}', but that function does not say that it returns a data set; "
            "annotate it: def load(root, ...) -> hybridmpi.learning.datasets.DataSet"
        )
    try:
        with surroundings_kept(what):
            data_set = function(root, **options)
    except UserError:
        raise
    except Exception as error:  # whatever the user's function raises is the user's to mend
        raise UserError(
            f"data.dataset is '{path}', but the function raised {_describe(error)}; "
            f"it was called with root={root} and options {dict(options)}"
        ) from error
    if not isinstance(data_set, DataSet):
        raise UserError(
            f"data.dataset is '{path}', but the function returned {type(data_set).__name__}; "
            "it must return a hybridmpi.learning.datasets.DataSet"
        )
    return data_set


def _is_said_to_return_data_set(function: Callable[..., Any]) -> bool:
    said = getattr(function, "__annotations__", {}).get("return")
    if isinstance(said, str):  # from __future__ import annotations
        return said.rpartition(".")[2] == DataSet.__name__
    return isinstance(said, type) and issubclass(said, DataSet)


def _describe(error: Exception) -> str:
    """Say what was raised and by which line: the message is all that the user will see."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})" if trace else ""
    return f"{type(error).__name__}: {error}{where}"
