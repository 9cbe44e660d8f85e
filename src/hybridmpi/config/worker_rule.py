"""Rules that give each worker its value: an expression of the worker's number, such as 1 + sqrt(i).

Nothing but arithmetic is taken, since a job may come from elsewhere.
"""

import ast
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

_FUNCTIONS = {"sqrt": np.sqrt, "log": np.log, "exp": np.exp}
_LARGEST = 1e9
_OPERATIONS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.USub)
_TAKEN = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Load, ast.Constant)


def values_of(rule: str, workers: int) -> NDArray[np.float64]:
    """Return the value of each of the workers 1..N, shape [workers].

    Raises:
        ValueError: If the rule is no such expression, or gives some worker no number above 0 and
            below 1e9.
    """
    try:
        tree = ast.parse(rule.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _error(rule, "which is no expression") from None
    for node in ast.walk(tree):
        _check(rule, node)
    names: dict[str, Any] = {"i": np.arange(1, workers + 1, dtype=np.float64), **_FUNCTIONS}
    with np.errstate(all="ignore"):
        try:
            found = eval(compile(tree, "rule", "eval"), {"__builtins__": {}}, names)
            values = np.broadcast_to(np.asarray(found, np.float64), (workers,))
        except (ArithmeticError, TypeError, ValueError) as error:
            raise _error(rule, f"which can't be computed ({error})") from None
    wrong = ~((values > 0) & (values < _LARGEST))
    if wrong.any():
        worker = int(np.argmax(wrong)) + 1
        raise _error(rule, f"which is {values[worker - 1]:g} for worker {worker}")
    return values


def _check(rule: str, node: ast.AST) -> None:
    if not isinstance(node, (*_TAKEN, *_OPERATIONS)):
        raise _error(rule, f"which holds {type(node).__name__}")
    if isinstance(node, ast.Name) and node.id not in ("i", *_FUNCTIONS):
        raise _error(rule, f"which names '{node.id}'")
    if isinstance(node, ast.Constant) and type(node.value) not in (int, float):
        raise _error(rule, f"which holds {node.value!r}")
    if isinstance(node, ast.Constant) and abs(float(node.value)) > _LARGEST:  # type: ignore[arg-type]
        raise _error(rule, "which holds a number beyond 1e9")


def _error(rule: str, what: str) -> ValueError:
    return ValueError(
        f"the rule is '{rule}', {what}; it must be made of i, the worker's number from 1, numbers, "
        "+ - * / ** and sqrt, log and exp, and be above 0 and below 1e9 for each worker, such as "
        "'1 + sqrt(i)'"
    )


def _checked(rule: str) -> str:
    values_of(rule, 1)
    return rule


WorkerRule = Annotated[str, Field(max_length=200), AfterValidator(_checked)]
