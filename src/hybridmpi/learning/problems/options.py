"""Checks of the options of problems that ship with this package."""

import math
from typing import Any

from hybridmpi.errors import UserError


def check_count(problem: str, option: str, given: Any, at_least: int = 1) -> None:
    """Refuse what is no whole number of at least `at_least`.

    Raises:
        UserError: If so.
    """
    if isinstance(given, bool) or not isinstance(given, int) or given < at_least:
        raise option_error(problem, option, given, f"a whole number of at least {at_least}")


def check_number(
    problem: str, option: str, given: Any, at_least: float = -math.inf, below: float = math.inf
) -> None:
    """Refuse what is no finite number of at least `at_least` and below `below`.

    Raises:
        UserError: If so.
    """
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or not math.isfinite(given) or not at_least <= given < below:
        bounds = f" of at least {at_least:g}" if at_least > -math.inf else ""
        bounds += f" and below {below:g}" if below < math.inf else ""
        raise option_error(problem, option, given, f"a finite number{bounds}")


def option_error(problem: str, option: str, given: Any, wanted: str) -> UserError:
    """Say that an option is not what it must be."""
    return UserError(f"problem '{problem}': option {option} is {given!r}, but must be {wanted}")
