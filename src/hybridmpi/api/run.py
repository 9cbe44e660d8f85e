"""A run as notebooks and scripts use it."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hybridmpi.errors import UserError
from hybridmpi.runlog import reader, run
from hybridmpi.runlog.state_dict import state_dict

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

_WIDTH = 100  # characters


class Run(run.Run):
    """What a run file holds, and what is made of it."""

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a run file; see `read_run`."""
        return cls(**vars(reader.read_run(path)))

    def plot(self) -> "Figure":
        """Draw accuracy, losses, threshold and staleness over one time axis."""
        from hybridmpi.experiments.figures.style import plain_style
        from hybridmpi.experiments.run_figure import draw_run

        with plain_style():
            return draw_run(self)

    def state_dict(self) -> "dict[str, Tensor]":
        """Return the final parameters and buffers by name, as `Module.state_dict` does.

        Raises:
            UserError: If the run has not written them.
        """
        import torch

        return {name: torch.from_numpy(values) for name, values in state_dict(self).items()}

    def load_into(self, module: "nn.Module") -> None:
        """Give a module of the same architecture the final parameters and buffers.

        Raises:
            UserError: If the run has none, or those of another architecture.
        """
        try:
            module.load_state_dict(self.state_dict())
        except RuntimeError as error:  # torch names all that differ
            raise UserError(
                f"the parameters of '{self.path}' don't fit {type(module).__name__}; give it the "
                f"model that was trained, {self.setting('model', 'name')}: {error}"
            ) from error

    def __repr__(self) -> str:
        """Name the run in a line."""
        return (
            f"<Run '{self.path}': {self.status}, {len(self.gradients):,} gradients, "
            f"{len(self.steps):,} steps>"
        )

    def _repr_html_(self) -> str:
        """Return the summary that `hybridmpi show` prints, for notebooks."""
        from rich.console import Console

        from hybridmpi.experiments.run_summary import summarize

        console = Console(file=io.StringIO(), record=True, width=_WIDTH, force_jupyter=False)
        console.print(summarize(self))
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def read_run(path: str | Path) -> Run:
    """Read a run file: of a run that ended, that goes on, or whose process was killed.

    Nothing in it is executed or looked up in other files, and reading it takes memory in proportion
    to its length, whoever made it.

    Raises:
        UserError: If the file is not there, is no run file, or is damaged.
    """
    return Run.read(path)
