"""Writes the tables of jobs.md and run-file.md from the code, so that pages and code agree.

    ./with-env python docs/tables.py           # writes them
    ./with-env python docs/tables.py --check   # shows what would change; exit code 1 if anything

A table stands under the heading that names its section or dataset; all other text is left alone.
"""

import difflib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hybridmpi.config import Job
from hybridmpi.config.fields import changes_of
from hybridmpi.core.metrics import CLASSIFICATION
from hybridmpi.core.presets import PRESETS
from hybridmpi.runlog import schema

FOLDER = Path(__file__).parent
DEFINITIONS = Job.model_json_schema()["$defs"]
SCHEDULES = ("Constant", "Step", "Linear", "Polynomial", "Exponential", "Join")
KINDS = {"S": "text", "f": "float", "i": "integer", "?": "true or false"}


def main() -> None:
    """Write the pages, or with --check compare them."""
    is_changed = False
    for name, tables in (("jobs.md", job_tables()), ("run-file.md", run_file_tables())):
        before = (FOLDER / name).read_text()
        after = with_tables(name, before, tables)
        is_changed |= before != after
        if "--check" in sys.argv:
            sys.stdout.writelines(
                difflib.unified_diff(
                    before.splitlines(True), after.splitlines(True), name, f"{name} from the code"
                )
            )
        else:
            (FOLDER / name).write_text(after)
    sys.exit("--check" in sys.argv and is_changed)


def with_tables(name: str, page: str, tables: Mapping[str, str]) -> str:
    """Return a page with the first table under each of these headings replaced."""
    for heading, table in tables.items():
        place = rf"^(#+ {re.escape(heading)}\n(?:(?![#|]).*\n)*)(?:\|.*\n)+"
        page, count = re.subn(place, lambda found: found[1] + table, page, flags=re.MULTILINE)  # noqa: B023
        if count != 1:
            sys.exit(f"docs/{name} needs one heading '{heading}' with a table, but has {count}")
    return page


def job_tables() -> dict[str, str]:
    """Return the tables of jobs.md by heading."""
    sections = {
        f"`[{name}]`": markdown(
            ("field", "value", "default", "changes", "meaning"),
            marked(name, fields(DEFINITIONS[field.annotation.__name__])),
        )
        for name, field in Job.model_fields.items()
        if field.annotation
    }
    inner = {
        f"`{name}`": markdown(("field", "value", "default", "meaning"), fields(DEFINITIONS[table]))
        for name, table in (("stale", "StaleTable"), ("jitter", "Jitter"))
    }
    return {**sections, **inner, "Schedules": schedules(), "Presets": presets()}


def run_file_tables() -> dict[str, str]:
    """Return the tables of run-file.md by heading."""
    return {
        f"`{table.name}`": markdown(
            ("column", "type", "meaning"),
            ((f"`{c.name}`", KINDS[c.dtype[0]], c.meaning) for c in table.columns),
        )
        for table in (*schema.tables_with(CLASSIFICATION), schema.SNAPSHOTS)
    }


def fields(table: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return one row per field of a job's table, given as JSON schema."""
    required = table.get("required", ())
    return [
        (
            f"`{name}`",
            values(field),
            "required" if name in required else default(field.get("default")),
            " ".join(field.get("description", "").split()),
        )
        for name, field in table["properties"].items()
    ]


def marked(section: str, rows: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Put what each field of a section changes before its meaning."""
    for name, *rest, meaning in rows:
        yield name, *rest, changes_of(f"{section}.{name.strip('`')}").value, meaning


def schedules() -> str:
    """Return the table of schedules with their parameters."""
    rows: list[tuple[str, ...]] = []
    for name in SCHEDULES:
        table = DEFINITIONS[name]
        parameters = {f[0]: f[1:] for f in fields(table) if f[0] not in ("`unit`", "`schedule`")}
        rows.append((f"`{name.lower()}`", "", "", "", table["description"]))
        rows += [("", field, *rest) for field, rest in parameters.items()]
    unit = next(field for field in fields(DEFINITIONS["Constant"]) if field[0] == "`unit`")
    return markdown(
        ("schedule", "field", "value", "default", "meaning"), [*rows, ("all of them", *unit)]
    )


def presets() -> str:
    """Return the table of presets."""
    rows = []
    for name, preset in PRESETS.items():
        threshold = preset.threshold or ("a constant of yours" if preset.constant else "yours")
        stale = str(preset.stale)
        if stale == "discard":
            stale += f" from {preset.stale_limit or 'a limit of yours'}"
        rows.append((f"`{name}`", str(threshold), preset.after_push, stale, preset.summary))
    return markdown(("preset", "threshold", "after push", "stale pushes", "method"), rows)


def values(field: Mapping[str, Any]) -> str:
    """Say what a field may hold."""
    if choices := field.get("anyOf") or field.get("oneOf"):
        each = [values(choice) for choice in choices if choice.get("type") != "null"]
        return " or ".join(dict.fromkeys(each))
    if "enum" in field or "const" in field:
        return ", ".join(f"`{json.dumps(v)}`" for v in field.get("enum", [field.get("const")]))
    return kind(field)


def kind(field: Mapping[str, Any]) -> str:
    """Say of what type a field is, with its bounds."""
    match field.get("type"):
        case "integer" | "number" as number:
            return f"{number}{bounds(field)}"
        case "array":
            return f"list of: {values(field['items'])}"
        case "boolean":
            return "true or false"
        case "string":
            return str(field.get("format", "text"))
    return "schedule" if field.get("$ref", "").rpartition("/")[2] in SCHEDULES else "table"


def bounds(field: Mapping[str, Any]) -> str:
    """Return the bounds of a number."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return ",".join(f" {sign} {_short(field[key])}" for key, sign in signs.items() if key in field)


def _short(number: float) -> str:
    return f"{number:g}".replace("e+0", "e") if isinstance(number, float) else str(number)


def default(value: object) -> str:
    """Write a default as TOML does."""
    return "none" if value is None else f"`{json.dumps(value)}`"


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Lay out a table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
