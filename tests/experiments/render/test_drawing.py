import struct

from matplotlib.figure import Figure

from hybridmpi.experiments.document import Picture
from hybridmpi.experiments.render.drawing import describe, draw


def two_panels() -> Figure:
    figure = Figure(figsize=(4, 2))
    left, right = figure.subplots(1, 2)
    left.set(title="batch 32", xlabel="time (s)", ylabel="test\naccuracy")
    right.set(xlabel="time (s)")
    for panel in (left, right):
        panel.plot([0, 1], label="async")
        panel.plot([1, 0], label="hybrid")
        panel.legend()
    return figure


def test_png_has_200_dots_per_inch() -> None:
    drawing = draw(Picture("two", "Two panels.", two_panels()))
    assert struct.unpack(">II", drawing.png[16:24]) == (800, 400)
    assert (drawing.width_px, drawing.height_px) == (384, 192)


def test_same_figure_gives_the_same_bytes() -> None:
    assert draw(Picture("two", "", two_panels())) == draw(Picture("two", "", two_panels()))


def test_svg_needs_no_fonts() -> None:
    svg = draw(Picture("two", "", two_panels())).svg
    assert svg.startswith(b"<?xml")
    assert b"<text" not in svg


def test_description_names_axes_and_keys_once() -> None:
    assert describe(two_panels()) == (
        "batch 32: test accuracy against time (s); time (s). async, hybrid"
    )


def test_figure_without_labels_is_described_by_its_caption() -> None:
    assert draw(Picture("empty", "Nothing yet.", Figure())).description == "Nothing yet."
