"""How a run ended, in a few lines."""

import shlex
from typing import TYPE_CHECKING

from rich.text import Text

from hybridmpi.cli.progress.wording import duration
from hybridmpi.engines.status import Status
from hybridmpi.experiments.metrics import ShownMetric, shown

if TYPE_CHECKING:
    from hybridmpi.engines.outcome import Outcome


def summary(outcome: "Outcome", last: Status | None) -> Text:
    """Sum a run up; `last` is its last report."""
    text = Text()
    if outcome.status == "stopped":
        text.append(f"stopped by {outcome.reason}\n", "bold yellow")
    else:
        text.append(f"{outcome.status} ({outcome.reason})\n", "bold green")
    metric = shown(outcome.metric)
    measure = metric.label_on(outcome.evaluated_on)
    facts = {measure: _value(metric, outcome)}
    if last is not None:
        discarded = f", {last.discarded:,} of them discarded" if last.discarded else ""
        facts["gradients"] = f"{last.gradients:,}{discarded}"
        facts["steps"] = f"{last.version:,}"
        facts["duration"] = duration(last.time_s)
    facts["run file"] = str(outcome.path)
    facts["look at it"] = f"hybridmpi show {shlex.quote(str(outcome.path))}"
    styles = {measure: "bold", "look at it": "cyan"}
    for name, fact in facts.items():
        text.append(f"  {name:<{len(measure)}}  ").append(f"{fact}\n", styles.get(name, ""))
    text.rstrip()
    return text


def _value(metric: ShownMetric, outcome: "Outcome") -> str:
    if outcome.values is None:
        return "not evaluated"
    return f"{metric.value(outcome.values[metric.name])} {metric.unit}".rstrip()
