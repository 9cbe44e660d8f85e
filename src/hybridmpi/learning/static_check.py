"""Looks for a user's function without running the user's code.

Where a job is only looked at, perhaps on a login node, that code is not to run: it may start MPI,
or ask for a GPU. In doubt the function is there.
"""

import ast
import symtable
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from hybridmpi.errors import UserError, nearest
from hybridmpi.learning.imports import not_found, parts_of


def check_function(path: str, what: str) -> None:
    """Refuse a function that `import_function` would not find.

    Args:
        path: "package.module:function".
        what: What the function is to the user, for messages.

    Raises:
        UserError: If the path is not of that form, there is no such module, its text is no Python,
            or it gives nothing that name.
    """
    module, function = parts_of(path, what)
    file = _source_of(module, path, what)
    if file is None:
        return
    try:
        source = file.read_bytes()
        tree = ast.parse(source, str(file))
        names = _names_in(source.decode(), file)
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{what} is '{path}', but {file} is no Python: {error}") from None
    except OSError:
        return
    if function not in names and not _may_bind_more(tree):
        raise UserError(
            f"{what} is '{path}', but {file} has no function '{function}'; "
            f"{nearest(function, names)}"
        )


def _source_of(module: str, path: str, what: str) -> Path | None:
    """Return the file of a module; None if it has none that could be read."""
    package, *inner = module.split(".")
    spec = find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    for name in inner:
        package = f"{package}.{name}"
        spec = PathFinder.find_spec(name, folders)  # by its last name: no parent is imported
        folders = [str(Path(folder) / name) for folder in folders]
        if spec is None:
            raise not_found(package, path, what)
    origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _names_in(source: str, file: Path) -> list[str]:
    table = symtable.symtable(source, str(file), "exec")
    return [
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() or symbol.is_imported()
    ]


def _may_bind_more(tree: ast.Module) -> bool:
    """Say whether a module can hold names that its own lines don't show."""
    return any(
        (isinstance(node, ast.ImportFrom) and node.names[0].name == "*")
        or isinstance(node, ast.Global)
        or (isinstance(node, ast.Name) and node.id in ("globals", "vars", "setattr", "exec"))
        or (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")
        for node in ast.walk(tree)
    )
