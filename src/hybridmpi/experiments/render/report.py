"""A report's files in their folder."""

import re
from contextlib import ExitStack
from pathlib import Path

from hybridmpi.experiments.document import Document, Picture, TableOf
from hybridmpi.experiments.render.drawing import draw
from hybridmpi.experiments.render.html import to_html
from hybridmpi.experiments.render.markdown import to_markdown
from hybridmpi.runlog.replacing import replacing

MANIFEST = ".report-files"  # what an earlier report made, and a later one may remove
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REMOVABLE = re.compile(rf"(tables/{_NAME.pattern}\.csv|figures/{_NAME.pattern}\.(png|svg))")


def write_report(document: Document, folder: Path) -> None:
    """Write a report into a folder, in the place of an earlier one.

    All is drawn and written beside before the first file moves into place. Files of an earlier
    report that the new one lacks are removed; nothing else in the folder is touched.

    Args:
        document: The report.
        folder: Gets `report.html`, `report.md`, `tables/` and `figures/`; made where missing.

    Raises:
        UserError: If the files cannot be written there.
        ValueError: If two tables or two pictures have one name, or a name is not made of lower
            case letters, digits and hyphens.
    """
    files = render(document)
    with ExitStack() as moves:
        for name, content in files.items():
            moves.enter_context(replacing(folder / name)).write_bytes(content)
        for name in _made_before(folder) - files.keys():
            (folder / name).unlink(missing_ok=True)
        # Moves happen in reverse: first the manifest, so that no file is ever forgotten; last the
        # page, so that one who finds it finds all the rest.


def render(document: Document) -> dict[str, bytes]:
    """Return the content of a report's files by their path in the report's folder.

    Raises:
        ValueError: As `write_report`.
    """
    parts = [part for section in document.sections for part in section.parts]
    tables = [part for part in parts if isinstance(part, TableOf)]
    pictures = [part for part in parts if isinstance(part, Picture)]
    _check_names([table.name for table in tables])
    _check_names([picture.name for picture in pictures])
    csv_files = {table.name: _csv(table) for table in tables}
    drawings = {picture.name: draw(picture) for picture in pictures}
    files = {
        "report.html": to_html(document, csv_files, drawings).encode(),
        "report.md": to_markdown(document, drawings).encode(),
    }
    files |= {f"tables/{name}.csv": csv for name, csv in csv_files.items()}
    files |= {f"figures/{name}.png": drawing.png for name, drawing in drawings.items()}
    files |= {f"figures/{name}.svg": drawing.svg for name, drawing in drawings.items()}
    return files | {MANIFEST: "".join(f"{name}\n" for name in files).encode()}


def _csv(table: TableOf) -> bytes:
    text: str = table.numbers.to_csv(index=False, lineterminator="\n")
    return text.encode()


def _check_names(names: list[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"'{name}' is to name a file, but must be lower case letters, digits and hyphens"
            )
        if names.count(name) > 1:
            raise ValueError(f"{names.count(name)} tables or pictures are named '{name}'")


def _made_before(folder: Path) -> set[str]:
    """Return what an earlier report says that it made; other paths in its list are ignored."""
    try:
        lines = (folder / MANIFEST).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return set()
    return {line for line in lines if _REMOVABLE.fullmatch(line)}
