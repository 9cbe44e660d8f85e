"""A picture as files, and in words for those who cannot see it."""

import io
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybridmpi.experiments.document import Picture

PNG_DPI = 200
CSS_PX_PER_INCH = 96


@dataclass(frozen=True)
class Drawing:
    """A picture in both formats.

    Attributes:
        png: At 200 dots per inch.
        svg: With its text as outlines, so that it looks the same without the fonts.
        width_px: Width on a page, in CSS pixels.
        height_px: Height on a page, in CSS pixels.
        description: What is drawn, in words.
    """

    png: bytes
    svg: bytes
    width_px: int
    height_px: int
    description: str


def draw(picture: Picture) -> Drawing:
    """Draw a picture; the same figure gives the same bytes."""
    width, height = picture.figure.get_size_inches()
    _lay_out(picture.figure)
    # matplotlib would put random ids and the date into the SVG.
    with mpl.rc_context({"svg.hashsalt": picture.name, "svg.fonttype": "path"}):
        svg = _saved(picture.figure, format="svg", metadata={"Date": None})
    return Drawing(
        png=_saved(picture.figure, format="png", dpi=PNG_DPI),
        svg=svg,
        width_px=round(width * CSS_PX_PER_INCH),
        height_px=round(height * CSS_PX_PER_INCH),
        description=describe(picture.figure) or picture.caption,
    )


def describe(figure: Figure) -> str:
    """Say what a figure's panels and keys show; empty where it has no labels."""
    panels = dict.fromkeys(text for panel in figure.axes if (text := _describe_panel(panel)))
    keys = [*figure.legends, *filter(None, (panel.get_legend() for panel in figure.axes))]
    names = dict.fromkeys(text.get_text() for key in keys for text in key.get_texts())
    return ". ".join(filter(None, ("; ".join(panels), ", ".join(names))))


def _describe_panel(panel: Axes) -> str:
    title = panel.get_title() or panel.get_title(loc="left")
    axes = " against ".join(filter(None, (panel.get_ylabel(), panel.get_xlabel())))
    return " ".join(": ".join(filter(None, (title, axes))).split())


def _lay_out(figure: Figure) -> None:
    """Find the places of all panels and texts once, not for each format anew."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _saved(figure: Figure, **how: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, **how)
    return buffer.getvalue()
