from itertools import pairwise

import pytest

from hybridmpi.experiments.figures.panels import (
    cell_titles,
    choice_note,
    choose,
    is_leftmost,
    is_lowest,
    panel_grid,
    seeds_note,
)


def test_few_cells_are_all_drawn() -> None:
    assert choose(range(12)) == list(range(12))
    assert choice_note(12, 12) == ""


def test_many_cells_are_chosen_by_position_and_that_is_said() -> None:
    chosen = choose(range(40))
    assert (len(chosen), chosen[0], chosen[-1]) == (12, 0, 39)
    assert {b - a for a, b in pairwise(chosen)} <= {3, 4}
    assert choice_note(12, 40).startswith("12 of 40 cells, evenly spaced")


def test_titles_name_what_differs_only() -> None:
    cells = [(("data.batch_size", b), ("optimizer.learning_rate", 0.1)) for b in (32, 64)]
    assert list(cell_titles(cells).values()) == ["batch size 32", "batch size 64"]
    assert list(cell_titles([()]).values()) == [""]


@pytest.mark.parametrize(
    ("num_runs", "note"),
    [
        ({"sync": 1, "async": 1}, "n = 1 seed"),
        ({"sync": 5, "async": 5}, "n = 5 seeds"),
        ({"sync": 4, "async": 5}, "n = 5 seeds (sync 4)"),
        ({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}, "n = 1 to 5 seeds"),
    ],
)
def test_numbers_of_runs_are_said(num_runs: dict[str, int], note: str) -> None:
    assert seeds_note(num_runs) == note


def test_panels_stand_in_rows_below_the_edges() -> None:
    _, panels = panel_grid(5, num_rows=2)
    assert [len(cell) for cell in panels] == [2] * 5
    assert [number for number in range(5) if is_leftmost(number, 5)] == [0, 3]
    assert [number for number in range(5) if is_lowest(number, 5)] == [2, 3, 4]
