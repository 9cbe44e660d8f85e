"""Says in one line what is wrong with a field: what was given, and what is allowed."""

from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from hybridmpi.config.job import Job
from hybridmpi.config.schedules import SCHEDULES
from hybridmpi.errors import nearest

# pydantic's kinds of errors, some without what stands behind the first "_", and what we say.
_REQUIREMENTS = {
    "bool": "must be true or false",
    "dict": "must be a table",
    "finite": "must be finite",
    "float": "must be a number",
    "int": "must be a whole number",
    "invalid-json-value": "must be text, a number, true or false, a list, or a table",
    "model": "must be a table",
    "path": "must be a path",
    "string": "must be text",
    "tuple": "must be a list in square brackets",
    "union_tag_not_found": f"needs a `schedule`; {nearest('', SCHEDULES)}",
}
_FORMS = ", or '3/lr', 'lr' or '2*lr', where lr is the initial learning rate"
# In the location of an error pydantic names the chosen member of a union, too.
_MEMBERS = {"number", "table", "list of numbers", "rule of numbers", *SCHEDULES}
_LONGEST = 60


def explain(error: ErrorDetails, whole: type[BaseModel] = Job) -> str:
    """Say where a job, or another `whole` file, is wrong, what is allowed, and how to mend it."""
    names = _names(error)
    where = _shortened(".".join(names)) or f"the {whole.__name__.lower()}"
    return f"{where}: {_complaint(error, names, whole)}"


def _complaint(error: ErrorDetails, names: list[str], whole: type[BaseModel]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return f"unknown field; {nearest(names[-1], _model_of(error, whole).model_fields)}"
        case "missing":
            description = _model_of(error, whole).model_fields[names[-1]].description
            return f"missing ({description})" if description else "missing"
        case "union_tag_invalid":
            given = str(error["ctx"]["tag"])
            return f"there is no schedule {_shortened(repr(given))}; {nearest(given, SCHEDULES)}"
        case "too_short":
            return f"needs at least {error['ctx']['min_length']}"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
    return f"{_requirement(error, names)}{_given(error['input'])}"


def _requirement(error: ErrorDetails, names: list[str]) -> str:
    kind = error["type"]
    if kind.startswith("float") and "threshold" in names:
        return _REQUIREMENTS["float"] + _FORMS
    own = _REQUIREMENTS.get(kind) or _REQUIREMENTS.get(kind.partition("_")[0])
    return own or error["msg"].replace("Input should", "must", 1)


def _given(value: Any) -> str:
    if not isinstance(value, (str, int, float)):
        return ""
    try:
        return f", not {_shortened(repr(value))}"
    except ValueError:  # Python writes no integers of more than 4300 digits
        return ", not a number as long as this"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _names(error: ErrorDetails) -> list[str]:
    """Return the path of a field as it stands in the file."""
    *path, last = error["loc"] or ("",)
    names = [str(part) for part in path if part not in _MEMBERS]
    is_member = last in _MEMBERS and error["type"] != "extra_forbidden"
    return names if is_member or last == "" else [*names, str(last)]


def _model_of(error: ErrorDetails, whole: type[BaseModel]) -> type[BaseModel]:
    """Return the table in which a field is unknown or missing."""
    model = whole
    for part in error["loc"][:-1]:
        if part in SCHEDULES:
            model = SCHEDULES[str(part)]
        elif isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            choices = [annotation, *get_args(annotation)]
            model = next((choice for choice in choices if _is_table(choice)), model)
    return model


def _is_table(choice: Any) -> bool:
    return isinstance(choice, type) and issubclass(choice, BaseModel)
