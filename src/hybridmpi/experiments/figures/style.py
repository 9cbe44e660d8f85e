"""What all figures share: how each method looks, and how axes, keys and notes are drawn."""

import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

# Okabe and Ito's colours, which colour-blind readers can tell apart; their yellow is darkened here,
# since a line of it could not be seen on white.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#BDAE00", "#0072B2", "#D55E00", "#CC79A7"
GREY, PALE, GRID = "#767676", "#EDEDED", "#E5E5E5"

SMALL, NORMAL = 8, 9.5
MINUS = "\u2212"  # as matplotlib writes it at the ticks
LONGEST_NAME = 36
KEY_ROW_IN = 0.2

# The first three belong to sync, async and hybrid alone.
_COLORS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK, YELLOW)
_DASHES: tuple[tuple[float, ...], ...] = (
    (6, 2),
    (2, 1.2),
    (),  # solid
    (6, 2, 1, 2),
    (1, 1.5),
    (8, 2, 1, 1.5, 1, 1.5),
    (10, 3),
    (2, 3),
)
_MARKERS = ("s", "^", "o", "D", "v", "P", "X", "<")


@dataclass(frozen=True)
class Look:
    """How a method is drawn: apart by colour, and in black and white by dashes and marker."""

    color: str
    dashes: tuple[float, ...]
    marker: str

    def line(self) -> dict[str, Any]:
        """Return the arguments of a line, without its markers."""
        return {"color": self.color, "linestyle": (0, self.dashes) if self.dashes else "-"}


_LOOKS = tuple(
    Look(_COLORS[i], _DASHES[(i + turn) % 8], _MARKERS[(i + 3 * turn) % 8])
    for turn in range(8)
    for i in range(8)
)
_KNOWN = {
    "sync": 0,
    "async": 1,
    "hybrid": 2,
    "k-async": 3,
    "k-batch-async": 4,
    "k-sync": 5,
    "m-sync": 6,
    "reverse-hybrid": 7,
    "rennala": 8 + 3,
    "ringmaster": 8 + 4,
}


def looks(variants: Collection[str]) -> dict[str, Look]:
    """Return the look of each variant, all different for up to 61 of them.

    The presets look the same everywhere. The look of another name follows from the name, and
    differs between reports only where it would be taken: then the name that comes later in the
    alphabet takes the next one that is free.
    """
    numbers = {name: _KNOWN[name] for name in variants if name in _KNOWN}
    for name in sorted(set(variants) - numbers.keys()):
        numbers[name] = _free_number(name, set(numbers.values()))
    return {name: _LOOKS[numbers[name]] for name in variants}


def _free_number(name: str, taken: set[int]) -> int:
    start = zlib.crc32(name.encode())
    first_turn = [3 + (start + i) % 5 for i in range(5)]
    later_turns = [8 + (start + i) % 56 for i in range(56)]
    wanted = [*first_turn, *later_turns]
    return next((number for number in wanted if number not in taken), wanted[0])


def shortened(name: str) -> str:
    """Return a name cut in its middle where it is too long for a key: both ends tell it apart."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw as matplotlib does by itself, whatever a matplotlibrc asks for: TeX, other fonts."""
    with mpl.rc_context():
        mpl.rcdefaults()
        yield


def style_axes(panel: Axes, grid: str = "y") -> None:
    """Give a panel the frame and grid of all figures; `grid` is x, y or both."""
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=SMALL)
    panel.xaxis.label.set_fontsize(NORMAL)
    panel.yaxis.label.set_fontsize(NORMAL)
    panel.grid(axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
    panel.set_axisbelow(True)


def say_empty(panel: Axes, text: str) -> None:
    """Say in a panel why nothing is drawn there, and take the marks off its axes."""
    panel.set_yticks([])
    if not panel.get_shared_x_axes().get_siblings(panel)[1:]:
        panel.set_xticks([])
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", color=GREY)


def add_note(figure: Figure, text: str) -> None:
    """Write a note over the panels, such as what was left out."""
    if text:
        figure.suptitle(text, x=0.01, ha="left", fontsize=SMALL, color=GREY)


def add_key(
    figure: Figure, variants: Sequence[str], all_looks: Mapping[str, Look], has_bands: bool = False
) -> None:
    """Draw the key of methods under the panels, and that of their bands."""
    handles: list[Artist] = [
        Line2D(
            [], [], **all_looks[name].line(), marker=all_looks[name].marker, ms=5, lw=1.6, label=""
        )
        for name in variants
    ]
    labels = [shortened(name) for name in variants]
    if has_bands:
        handles.append(Patch(color=GREY, alpha=0.3, lw=0))
        labels.append("95 % interval")
    place_key(figure, handles, labels, handlelength=4.5)


def place_key(
    figure: Figure, handles: Sequence[Artist], labels: Sequence[str], handlelength: float = 2
) -> None:
    """Place a key under the panels, in as many columns as fit; the figure grows by its rows."""
    if not handles:
        return
    longest = max(map(len, labels))
    column_in = (longest * 0.6 + handlelength + 3) * SMALL / 72
    columns = max(1, min(len(labels), int(figure.get_figwidth() / column_in)))
    num_rows = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + num_rows * KEY_ROW_IN)
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        handlelength=handlelength,
    )
