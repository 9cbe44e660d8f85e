"""Redraws a block of lines in place on a terminal that others write to as well."""

from typing import IO

_ERASE_RIGHT, _ERASE_BELOW = "\x1b[K", "\x1b[J"


class Screen:
    """A block of lines under the cursor.

    Between two frames the cursor rests on an empty line above the block. So what mpirun, `launch`
    or other ranks write meanwhile lands there and stays, and the block moves down; rich's Live
    would write over it.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def draw(self, block: str) -> None:
        """Show a block in place of the one before."""
        lines = ["", *block.splitlines()]
        frame = "".join(f"{line}{_ERASE_RIGHT}\n" for line in lines)
        # One line too far up, and down again: mpirun holds back what has no newline behind it.
        self._write(f"\r{frame}{_ERASE_BELOW}\x1b[{len(lines) + 1}A\n")

    def clear(self) -> None:
        """Take the block away."""
        self._write(f"\r{_ERASE_BELOW}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
