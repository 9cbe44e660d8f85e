"""Paths as people write them: with ~ and $VARIABLES, which a shell does not expand everywhere."""

import os
import re
from collections.abc import Mapping

from hybridmpi.errors import UserError

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)


def expanded(path: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a path with ~, ~USER, $NAME and ${NAME} filled in.

    What cannot be filled in stays as it is where a file or folder of that very name exists.

    Raises:
        UserError: If there is no such user, or a variable is not set or is empty.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if environment.get(name):
            return environment[name]
        end = path.find("/", found.end())
        if os.path.lexists(path if end < 0 else path[:end]):
            return found[0]
        raise UserError(
            f"the path '{path}' names ${name}, which is not set; set it, or write its value"
        )

    home = os.path.expanduser(_VARIABLE.sub(value, path))
    if home.startswith("~") and not os.path.lexists(home):
        user = home.partition("/")[0]
        raise UserError(
            f"the path '{path}' begins with {user}, but there is no such user; write './{path}' "
            "for a file of that name"
        )
    return home
