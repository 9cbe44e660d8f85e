"""How a table's cells are set: their sign and their side."""

import re
from collections.abc import Iterator

import pandas as pd

from hybridmpi.experiments.document import TableOf, Tone

# Beside the colour, for those who cannot see it, and for print.
SIGNS: dict[Tone, str] = {"good": "✓", "bad": "✗", "warning": "!", "neutral": ""}
_PLACEHOLDERS = {"", "-", "\N{EN DASH}", "\N{EM DASH}", "nan", "n/a"}
# Text that begins with a letter or has a word is text; the rest may hold units: "4.2 MiB", "1e-05".
_NUMBER = re.compile(r"(?=.*\d)(?!.*[^\W\d_]{4})[^\w]*\d.*")


def rows(table: TableOf) -> Iterator[list[tuple[str, Tone]]]:
    """Yield each row's cells: the text and its tone."""
    for number, row in enumerate(table.shown.itertuples(index=False, name=None)):
        yield [
            (str(text), table.tones.get((number, column), "neutral"))
            for column, text in zip(table.shown.columns, row, strict=True)
        ]


def are_numbers(shown: pd.DataFrame) -> list[bool]:
    """Say of each column whether it holds numbers, which stand on the right.

    The first column names the rows, so it is text whatever it holds.
    """
    return [
        position > 0 and _holds_numbers(shown.iloc[:, position])
        for position in range(shown.shape[1])
    ]


def _holds_numbers(column: pd.Series) -> bool:
    texts = [text for text in map(str, column) if text.strip().lower() not in _PLACEHOLDERS]
    return bool(texts) and all(_NUMBER.fullmatch(text) for text in texts)
