import pandas as pd
import pytest

from hybridmpi.experiments.document import TableOf
from hybridmpi.experiments.render.cells import are_numbers, rows


@pytest.mark.parametrize(
    "texts",
    [
        ["+1.42", "\N{MINUS SIGN}0.137", "-3"],
        ["[+0.97, +1.87]", "[\N{MINUS SIGN}0.1, 0]"],
        ["12 of 12", "0 of 12"],
        ["4.2 MiB", "980 kB/s", "1e-05", "1,234"],
        ["< 0.0005", "0.1"],
        ["62 %", "\N{EN DASH}", ""],
    ],
)
def test_numbers_stand_on_the_right(texts: list[str]) -> None:
    assert are_numbers(pd.DataFrame({"name": "a", "value": texts})) == [False, True]


@pytest.mark.parametrize(
    "texts",
    [["async", "sync"], ["5/lr linear", "3/lr step"], ["1", "undecided"], ["", "\N{EN DASH}"], []],
)
def test_words_stand_on_the_left(texts: list[str]) -> None:
    assert are_numbers(pd.DataFrame({"name": "a", "value": texts})) == [False, False]


def test_first_column_names_its_row_even_with_a_number() -> None:
    assert are_numbers(pd.DataFrame({"rate": ["0.1", "0.2"]})) == [False]


def test_tone_belongs_to_the_row_by_position() -> None:
    shown = pd.DataFrame({"method": ["a", "b"], "verdict": ["x", "y"]}, index=[7, 3])
    table = TableOf("t", "", shown, shown, {(1, "verdict"): "good"})
    assert list(rows(table)) == [
        [("a", "neutral"), ("x", "neutral")],
        [("b", "neutral"), ("y", "good")],
    ]
