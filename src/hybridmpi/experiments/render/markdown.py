"""A report as Markdown, with its figures in files beside it."""

import re
from collections.abc import Iterator, Mapping, Sequence

from hybridmpi.experiments.document import Document, Note, Picture, TableOf, Tone
from hybridmpi.experiments.render.cells import SIGNS, are_numbers, rows
from hybridmpi.experiments.render.drawing import Drawing

# Underscores inside a word are left alone by every reader of Markdown.
_SPECIAL = re.compile(r"[\\`*\[\]<>|&$~]|(?<![^\W_])_|_(?![^\W_])")
_BLOCK_START = re.compile(r"^(?:(\d+)(?=[.)](?:\s|$))|(?=(?:#{1,6}|[-+])(?:\s|$)|[-=]+\s*$))")


def to_markdown(document: Document, drawings: Mapping[str, Drawing]) -> str:
    """Return a report as Markdown with GitHub's tables.

    Args:
        document: The report.
        drawings: Its pictures, by name; they are linked as `figures/NAME.png`.
    """
    blocks = [f"# {_escape(document.title)}"]
    blocks += [f"- {_note(note)}" for note in document.summary]
    for section in document.sections:
        blocks.append(f"## {_escape(section.title)}")
        for part in section.parts:
            blocks += _part(part, drawings)
    return "\n\n".join(blocks) + "\n"


def _part(part: Note | TableOf | Picture, drawings: Mapping[str, Drawing]) -> Iterator[str]:
    if isinstance(part, Note):
        yield _note(part)
        return
    yield f"**{_escape(part.caption)}**"
    if isinstance(part, TableOf):
        yield markdown_table(part)
        yield f"[{part.name}.csv](tables/{part.name}.csv)"
    else:
        yield f"![{_escape(drawings[part.name].description)}](figures/{part.name}.png)"


def _note(note: Note) -> str:
    if note.tone == "warning":
        return f"**Warning:** {_escape(note.text)}"
    return _signed(note.tone, _escape(note.text))


def _signed(tone: Tone, text: str) -> str:
    return f"{SIGNS[tone]} {text}" if SIGNS[tone] else text


def markdown_table(table: TableOf) -> str:
    """Return a table as GitHub's Markdown has it."""
    header = [_escape(str(name)) for name in table.shown.columns]
    body = [[_signed(tone, _escape(text)) for text, tone in row] for row in rows(table)]
    widths = [max(3, *map(len, column)) for column in zip(header, *body, strict=True)]
    right = are_numbers(table.shown)
    rule = [
        "-" * (width - 1) + ":" if is_right else "-" * width
        for width, is_right in zip(widths, right, strict=True)
    ]
    return "\n".join(_line(row, widths, right) for row in (header, rule, *body))


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        text.rjust(width) if is_right else text.ljust(width)
        for text, width, is_right in zip(texts, widths, right, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    escaped = _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
    return _BLOCK_START.sub(lambda start: f"{start[1] or ''}\\", escaped)
