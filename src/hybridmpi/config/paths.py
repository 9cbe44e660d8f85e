"""Paths in a job or an experiment: ~ and $VARIABLES are filled in when it is read.

So a run file, and a checkpoint, hold the paths that were meant where the run was started.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from hybridmpi.errors import UserError
from hybridmpi.paths import expanded

# The context in which a job is checked that is to run on another machine, with other variables.
ELSEWHERE = {"elsewhere": True}


def _filled_in(given: Any, info: ValidationInfo) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return expanded(given)
    except UserError as error:
        if info.context == ELSEWHERE:
            return given
        raise ValueError(str(error)) from None


AnyPath = Annotated[Path, BeforeValidator(_filled_in)]
PathText = Annotated[str, AfterValidator(_filled_in)]
