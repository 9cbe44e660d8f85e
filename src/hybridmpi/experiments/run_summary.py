"""A run in one screen of text."""

import math

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hybridmpi.experiments.metrics import shown
from hybridmpi.runlog.run import Run

UNKNOWN = "-"


def summarize(run: Run) -> RenderableType:
    """Return the run's facts, results and workers as tables for rich to print."""
    return Group(
        Text(str(run.path), style="bold"),
        _two_columns(_origin(run) | _progress(run)),
        _results(run),
        _workers(run),
    )


def _two_columns(facts: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(name, style="dim"), _as_it_is(value))
    return table


def _origin(run: Run) -> dict[str, str]:
    delayed = f", {run.workers.delayed.sum()} of them delayed" if run.workers.delayed.any() else ""
    return {
        "status": run.status,
        "method": f"{run.setting('method', 'preset')} ({run.setting('method', 'aggregation')})",
        **_learned(run),
        "optimizer": run.setting("optimizer", "name")
        + f", learning rate {run.setting('optimizer', 'learning_rate')}",
        "seed": run.setting("run", "seed"),
        "workers": f"{len(run.workers)}{delayed}",
    }


def _learned(run: Run) -> dict[str, str]:
    what, *rest = run.learned.items()
    name = "data" if what[0] == "dataset" else what[0]
    batches = f"batches of {run.setting('data', 'batch_size')}"
    return {name: f"{what[1]}, {batches}", **dict(rest)}


def _progress(run: Run) -> dict[str, str]:
    count = run.accounting()
    per_step = count.stepped / len(run.steps) if len(run.steps) else math.nan
    per_second = count.pushed / run.duration_s if run.duration_s else math.nan
    staleness = run.gradients.staleness
    return {
        "training time": f"{run.duration_s:.1f} s",
        "gradients": f"{count.pushed:,} pushed = {count.stepped:,} stepped "
        f"+ {count.discarded:,} discarded + {count.buffered:,} buffered",
        "gradients per second": _number(per_second, ".1f"),
        "steps": f"{len(run.steps):,} of {_number(per_step, '.2f')} gradients on average",
        "staleness": f"mean {_number(staleness.mean(), '.2f')}, "
        f"largest {_number(staleness.max(), '.0f')}",
        "events": ", ".join(f"{n:,} {kind}" for kind, n in run.events.kind.value_counts().items())
        or "none",
    }


def _results(run: Run) -> Table:
    table = Table(title="Evaluation", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.caption = f"best: for description only, since it is chosen on the {run.evaluated_on} set"
    table.caption_justify = "left"
    table.add_column("")
    last_s = f"at {run.evaluations.time_s.max():.1f} s" if len(run.evaluations) else "at the end"
    for heading in (last_s, "interval mean", "best"):
        table.add_column(heading, justify="right")
    last = run.evaluations.sort_values("time_s", kind="stable").tail(1)
    for metric in map(shown, run.metrics):
        values = run.evaluations[metric.name]
        best = values.max() if metric.higher_is_better else values.min()
        numbers = (last[metric.name].max(), run.interval_mean(metric.name), best)
        table.add_row(
            metric.label_on(run.evaluated_on),
            *(UNKNOWN if math.isnan(number) else metric.text(number) for number in numbers),
        )
    return table


def _workers(run: Run) -> Table:
    table = Table(title="Workers", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for heading in ("rank", "host", "device", "delayed"):
        table.add_column(heading, overflow="fold")
    for heading in ("samples", "gradients", "s per gradient", "waiting"):
        table.add_column(heading, justify="right")
    by_worker = run.gradients.groupby("worker")[["compute_s", "wait_s"]].agg(["sum", "count"])
    for worker in run.workers.itertuples():
        count, compute_s, wait_s = _spent(by_worker, worker.rank)
        table.add_row(
            str(worker.rank),
            _as_it_is(worker.host),
            _as_it_is(worker.device),
            "yes" if worker.delayed else "",
            f"{worker.shard_size:,}",
            f"{count:,}",
            _number(compute_s / count if count else math.nan, ".3f"),
            _number(wait_s / run.duration_s if run.duration_s else math.nan, ".0%"),
        )
    return table


def _spent(by_worker: pd.DataFrame, rank: int) -> tuple[int, float, float]:
    """Return a worker's number of gradients, seconds computing and seconds waiting."""
    if rank not in by_worker.index:
        return 0, 0.0, 0.0
    row = by_worker.loc[rank]
    return int(row["compute_s", "count"]), row["compute_s", "sum"], row["wait_s", "sum"]


def _as_it_is(text: str) -> Text:
    """Return text of a run file that anybody may have made: it says nothing to the terminal."""
    return Text("".join(each if each.isprintable() else "\ufffd" for each in text))


def _number(value: float, form: str) -> str:
    return UNKNOWN if math.isnan(value) else format(value, form)
