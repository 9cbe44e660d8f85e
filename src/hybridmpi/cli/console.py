"""Where tables and text for rich are printed."""

from rich.console import Console, RenderableType

_UNLIMITED = 10_000  # columns, more than anything printed here has


def show(*parts: RenderableType, err: bool = False) -> None:
    """Print to stdout, or to stderr, so that a path can be copied and found by `grep`.

    Text is left for the terminal to wrap. Tables fit the terminal; outside of one they are as wide
    as what they hold, not the 80 columns that rich assumes.
    """
    console = Console(stderr=err, highlight=False)
    if not console.is_terminal:
        console.width = _UNLIMITED
    console.print(*parts, soft_wrap=True)
