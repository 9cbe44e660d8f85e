"""Known methods, by name: points in the space of threshold, after push and stale pushes."""

from dataclasses import dataclass
from typing import Literal

from hybridmpi.core.server import AfterPush

StaleRule = Literal["accept", "discard", "cancel"]


@dataclass(frozen=True, slots=True)
class Preset:
    """What a preset fixes.

    Attributes:
        summary: What the method does, with its source.
        threshold: The fixed threshold ("workers" is all active ones); None takes the job's.
        after_push: What a worker does after pushing.
        stale: What happens to stale pushes.
        stale_limit: The smallest staleness that is discarded; None takes the job's.
        constant: Whether the job's threshold must be constant.
    """

    summary: str
    threshold: Literal["workers"] | int | None = None
    after_push: AfterPush = "wait"
    stale: StaleRule = "accept"
    stale_limit: int | None = None
    constant: bool = False


PRESETS: dict[str, Preset] = {
    "sync": Preset("synchronous SGD: every step averages one gradient of each worker", "workers"),
    "async": Preset("asynchronous SGD: every gradient is a step", 1),
    "hybrid": Preset("the threshold grows from asynchronous to synchronous (arXiv 2407.00101)"),
    "reverse-hybrid": Preset("synchronous first, then asynchronous (Sync-Switch, 2104.08364)"),
    "k-async": Preset("K-async SGD (arXiv 1803.01113)", constant=True),
    "k-batch-async": Preset(
        "K-batch-async SGD (arXiv 1803.01113), buffered as in FedBuff (arXiv 2106.06639)",
        after_push="continue",
        constant=True,
    ),
    "m-sync": Preset(
        "backup workers (arXiv 1604.00981): the slowest gradients of a round are discarded",
        stale="discard",
        stale_limit=1,
        constant=True,
    ),
    "k-sync": Preset(
        "K-sync SGD (arXiv 1803.01113): a step cancels the batches still being computed",
        stale="cancel",
        constant=True,
    ),
    "rennala": Preset(
        "Rennala SGD (arXiv 2305.12387): workers go on, stale gradients are discarded",
        after_push="continue",
        stale="discard",
        stale_limit=1,
        constant=True,
    ),
    "ringmaster": Preset(
        "Ringmaster ASGD (arXiv 2501.16168): gradients older than a limit are discarded",
        1,
        after_push="continue",
        stale="discard",
    ),
}
