"""A report before it takes a form: sections of text, tables and figures."""

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure

Tone = Literal["good", "bad", "neutral", "warning"]


@dataclass(frozen=True)
class Note:
    """A sentence or two; a warning stands out."""

    text: str
    tone: Tone = "neutral"


@dataclass(frozen=True)
class TableOf:
    """A table for readers, and the numbers behind it.

    Attributes:
        name: Of its CSV file, without suffix: lower case and hyphens.
        caption: What it shows, in one sentence.
        shown: What is printed: text, one column per column.
        numbers: What goes into the CSV file: full precision, plain column names with units.
        tones: The tone of single cells of `shown`, by (row, column).
    """

    name: str
    caption: str
    shown: pd.DataFrame
    numbers: pd.DataFrame
    tones: dict[tuple[int, str], Tone] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        name: Of its files, without suffix: lower case and hyphens.
        caption: What it shows, in a sentence or two.
        figure: The drawing.
    """

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, in this order."""

    title: str
    parts: tuple[Note | TableOf | Picture, ...]


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: Its title.
        summary: What a hurried reader takes away.
        sections: The rest.
    """

    title: str
    summary: tuple[Note, ...]
    sections: tuple[Section, ...]
