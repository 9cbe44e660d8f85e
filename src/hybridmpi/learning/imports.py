"""A user's own code, named in a job file as `package.module:function`.

It is looked for among the installed modules first, then in the current folder, so that a file of
the user's never takes the place of a module that Python or a library imports.
"""

import importlib
import importlib.util
import os
import sys
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from hybridmpi.errors import UserError, nearest

_current: list[str] = []  # the current folder, if it is in sys.path because of us


def import_function(path: str, what: str, or_kind: type | None = None) -> Any:
    """Import the function that `path` names.

    The current folder stays importable: the user's code may import more when it runs, in threads
    and in processes that it starts.

    Args:
        path: "package.module:function".
        what: What the function is to the user, for messages: "model", "data".
        or_kind: What may be there instead of a function.

    Raises:
        UserError: If the path isn't of that form, the module is of the standard library, another
            one is found in its place, it can't be imported, or holds no such function.
    """
    module_name, function_name = parts_of(path, what)
    module = _import_module(module_name, path, what)
    if not hasattr(module, function_name):
        public = [name for name, value in vars(module).items() if callable(value)]
        raise UserError(
            f"{what} is '{path}', but {module.__name__} ({module.__file__}) has no function "
            f"'{function_name}'; {nearest(function_name, public)}"
        )
    function = getattr(module, function_name)
    if or_kind is not None and isinstance(function, or_kind):
        return function
    if not callable(function):
        raise UserError(
            f"{what} is '{path}', but that is not a function but {type(function).__name__}; "
            "name a function"
        )
    return function


def parts_of(path: str, what: str) -> tuple[str, str]:
    """Return the module's and the function's name, once Python can find the module's package.

    Nothing of the user's is imported.

    Raises:
        UserError: As `import_function` does.
    """
    module_name, _, function_name = path.partition(":")
    package = module_name.partition(".")[0]
    if package in sys.stdlib_module_names:
        raise UserError(
            f"{what} is '{path}', but {package} is Python's own; name a function of yours, and "
            f"rename {package}.py if that is a file of yours"
        )
    names = [*module_name.split("."), function_name]
    if not all(name.isidentifier() for name in names):
        raise UserError(
            f"{what} is '{path}', but must be of the form package.module:function, "
            "for example my_code:build"
        )
    make_current_folder_importable()
    found = _origin_of(package)
    own = own_file(package)
    if own and found and not found.samefile(own):
        raise UserError(
            f"{what} is '{path}', but {found} has that name, too, and is found before your "
            f"{own.name}; rename yours"
        )
    if found is None and importlib.util.find_spec(package) is None:
        raise not_found(package, path, what)
    return module_name, function_name


def make_current_folder_importable() -> None:
    """Have modules in the current folder found, and no longer those of one that was it before."""
    folder = str(Path.cwd())
    if _current and _current[0] != folder:
        with suppress(ValueError):
            sys.path.remove(_current.pop())
    if folder not in sys.path:
        sys.path.append(folder)
        _current[:] = [folder]


def make_importable(folder: Path) -> None:
    """Have modules in a folder found, behind all others, by this process and those it starts."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def is_private(folder: Path) -> bool:
    """Say whether nobody but this user can have put files into a folder."""
    try:
        found = folder.stat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


def own_file(package: str) -> Path | None:
    """Return the file of a module or package in the current folder, if there is one."""
    spec = PathFinder.find_spec(package, [str(Path.cwd())])
    return Path(spec.origin) if spec and spec.origin else None


def _origin_of(package: str) -> Path | None:
    """Return the file that an import of a top-level module takes, or None if it has none."""
    if package in sys.modules:
        file = getattr(sys.modules[package], "__file__", None)
        return Path(file) if file else None
    spec = importlib.util.find_spec(package)
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def _import_module(name: str, path: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise not_found(str(error.name), path, what) from error
    except Exception as error:  # whatever the user's module raises is the user's to mend
        raise UserError(
            f"{what} is '{path}', but importing {name} raised {type(error).__name__}: {error}; "
            f"{_shadowed(error)}'python -c \"import {name}\"' shows where"
        ) from error


def not_found(module: str, path: str, what: str) -> UserError:
    """Say that a module is not there."""
    return UserError(
        f"{what} is '{path}', but {module} can't be found from {Path.cwd()}; start in the "
        "folder that holds it, or install it"
    )


def _shadowed(error: Exception) -> str:
    """Say that a file of the user's was not imported, but another module of its name."""
    package = str(getattr(error, "name", None) or "").partition(".")[0]
    own = own_file(package) if package else None
    if own is None or _origin_of(package) in (None, own):
        return ""
    return f"{own.name} has the name of another module, which is found before it: rename it; "
