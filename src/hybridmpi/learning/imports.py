"""A user's own code, named in a job file as `package.module:function`."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from hybridmpi.errors import UserError, nearest


def import_function(path: str, what: str) -> Callable[..., Any]:
    """Import the function that `path` names, looking in the current folder first.

    Args:
        path: "package.module:function".
        what: What the function is to the user, for messages: "model", "data".

    Raises:
        UserError: If the path isn't of that form, the module is of the standard library, can't be
            imported, or holds no such function.
    """
    module_name, _, function_name = path.partition(":")
    if module_name.partition(".")[0] in sys.stdlib_module_names:
        raise UserError(
            f"{what} is '{path}', but {module_name} is Python's own; name a function of yours"
        )
    names = [*module_name.split("."), function_name]
    if not all(name.isidentifier() for name in names):
        raise UserError(
            f"{what} is '{path}', but must be of the form package.module:function, "
            "for example my_code:build"
        )
    module = _import_module(module_name, path, what)
    if not hasattr(module, function_name):
        public = [name for name, value in vars(module).items() if callable(value)]
        raise UserError(
            f"{what} is '{path}', but {module.__name__} ({module.__file__}) has no function "
            f"'{function_name}'; {nearest(function_name, public)}"
        )
    function = getattr(module, function_name)
    if not callable(function):
        raise UserError(
            f"{what} is '{path}', but that is not a function but {type(function).__name__}; "
            "name a function"
        )
    return function  # type: ignore[no-any-return]


def _import_module(name: str, path: str, what: str) -> ModuleType:
    try:
        with _current_folder_importable():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{what} is '{path}', but {error.name} can't be found from {Path.cwd()}; start in the "
            "folder that holds it, or install it"
        ) from error
    except Exception as error:  # whatever the user's module raises is the user's to mend
        raise UserError(
            f"{what} is '{path}', but importing {name} raised {type(error).__name__}: {error}; "
            f"'python -c \"import {name}\"' shows where"
        ) from error


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
