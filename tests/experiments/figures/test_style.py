import pytest
from matplotlib.figure import Figure

from hybridmpi.core.presets import PRESETS
from hybridmpi.experiments.figures.style import (
    BLUE,
    GREEN,
    VERMILION,
    add_key,
    looks,
    shortened,
)


def test_presets_look_the_same_in_every_report() -> None:
    alone = {name: looks([name])[name] for name in PRESETS}
    assert looks([*PRESETS, "mine", "yours"]).items() >= alone.items()
    assert [alone[name].color for name in ("sync", "async", "hybrid")] == [BLUE, VERMILION, GREEN]


def test_presets_differ_in_black_and_white() -> None:
    all_looks = looks(PRESETS).values()
    assert len({(look.dashes, look.marker) for look in all_looks}) == len(PRESETS)


def test_other_names_keep_their_look_whatever_the_order_and_the_company() -> None:
    names = ["async", "hybrid-3/lr", "hybrid-5/lr", "hybrid linear"]
    there, back = looks(names), looks(names[::-1])
    assert there == back
    assert looks(["sync", "hybrid-3/lr"])["hybrid-3/lr"] == there["hybrid-3/lr"]


def test_few_other_names_have_colors_of_their_own() -> None:
    names = ["sync", "async", "hybrid", "one", "two", "three", "four", "five"]
    assert len({look.color for look in looks(names).values()}) == 8


def test_sixty_one_methods_all_look_different() -> None:
    assert len(set(looks([f"method {i}" for i in range(61)]).values())) == 61


@pytest.mark.parametrize("num_methods", [1, 3, 20])
def test_figure_grows_by_the_rows_of_its_key(num_methods: int) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    names = [f"a method with a rather long name {i}" for i in range(num_methods)]
    add_key(figure, names, looks(names))
    assert figure.get_figheight() == pytest.approx(4 + 0.2 * -(-num_methods // 2))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names


def test_long_name_keeps_both_ends() -> None:
    name = "hybrid, linear in gradients, " + "x" * 40 + " and never waits"
    assert len(shortened(name)) == 36
    assert shortened(name).startswith("hybrid, linear in")
    assert shortened(name).endswith("never waits")
    assert shortened("hybrid") == "hybrid"
