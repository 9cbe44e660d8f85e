"""How a run ended, in a few lines."""

import shlex
from typing import TYPE_CHECKING

from rich.text import Text

from hybridmpi.cli.progress.wording import duration
from hybridmpi.engines.status import Status

if TYPE_CHECKING:
    from hybridmpi.engines.outcome import Outcome


def summary(outcome: "Outcome", last: Status | None) -> Text:
    """Sum a run up; `last` is its last report."""
    text = Text()
    if outcome.status == "stopped":
        text.append(f"stopped by {outcome.reason}\n", "bold yellow")
    else:
        text.append(f"{outcome.status} ({outcome.reason})\n", "bold green")
    accuracy = outcome.test_accuracy
    shown = "not evaluated" if accuracy is None else f"{accuracy:.2%}".replace("%", " %")
    text.append("  test accuracy  ").append(f"{shown}\n", "bold")
    if last is not None:
        discarded = f", {last.discarded:,} of them discarded" if last.discarded else ""
        text.append(f"  gradients      {last.gradients:,}{discarded}\n")
        text.append(f"  steps          {last.version:,}\n")
        text.append(f"  duration       {duration(last.time_s)}\n")
    text.append(f"  run file       {outcome.path}\n")
    text.append("  look at it     ").append(
        f"hybridmpi show {shlex.quote(str(outcome.path))}", "cyan"
    )
    return text
