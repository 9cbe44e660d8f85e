"""A report in short, for the terminal."""

import textwrap
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from hybridmpi.experiments.document import Document, Note, TableOf, Tone

_STYLES: dict[Tone, str] = {"good": "green", "bad": "red", "neutral": "", "warning": "yellow"}


def outline(document: Document) -> RenderableType:
    """Return the summary and the first table of a document, for rich to print."""
    tables = (part for s in document.sections for part in s.parts if isinstance(part, TableOf))
    first = next(tables, None)
    return Group(
        Text(document.title, style="bold"),
        *map(_note, document.summary),
        *([] if first is None else [_table(first)]),
    )


@dataclass(frozen=True)
class _Paragraph:
    """Text that is wrapped between words only, so that a path in it stays whole."""

    text: str
    style: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = textwrap.wrap(
            self.text, options.max_width, break_long_words=False, break_on_hyphens=False
        )
        yield Text("\n".join(lines), style=self.style)


def _note(note: Note) -> _Paragraph:
    mark = "! " if note.tone == "warning" else ""
    return _Paragraph(f"{mark}{note.text}", _STYLES[note.tone])


def _table(table: TableOf) -> Table:
    printed = Table(
        title=table.caption,
        title_justify="left",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    for column in table.shown.columns:
        printed.add_column(column, overflow="fold", min_width=max(map(len, column.split())))
    for number, row in enumerate(table.shown.itertuples(index=False)):
        tones = [table.tones.get((number, column), "neutral") for column in table.shown.columns]
        cells = zip(row, tones, strict=True)
        printed.add_row(*(Text(str(cell), style=_STYLES[tone]) for cell, tone in cells))
    return printed
