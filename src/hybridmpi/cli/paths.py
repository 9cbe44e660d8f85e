"""Paths on the command line."""

from pathlib import Path
from typing import Any

import click

from hybridmpi.paths import expanded


class ExpandedPath(click.Path):
    """A path in which ~ and $VARIABLES are filled in: no shell does so in --out=~/runs."""

    def __init__(self, **checks: Any) -> None:
        super().__init__(path_type=Path, **checks)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Fill them in, and check the path as click does."""
        return super().convert(expanded(str(value)), param, ctx)
