"""What runs are measured by: named numbers of one version's parameters."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

FRACTION, NATS = "fraction", "nats"
# A column of a table, a field of a struct in MATLAB (which ends at 31 characters), part of a file's
# name; and other columns are named with such ends.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_ENDS = ("_end", "_best", "_unit", "_direction")
# Columns that stand beside metrics, and what else a run is counted by.
_TAKEN = {
    *("time_s", "version", "epoch", "meaning", "gradients", "steps", "bytes_sent"),
    *("worker_seconds", "discarded", "mean_staleness", "waiting_share", "staleness", "threshold"),
    *("gradients_per_s", "steps_per_s"),
}


@dataclass(frozen=True)
class Metric:
    """A number by which parameters are judged.

    Attributes:
        name: As files and experiments name it: lower case, digits and underscores, for example
            test_accuracy. One that ends with `loss` is drawn beside the mini-batches' losses.
        unit: Of the number; "fraction" is printed in percent, and empty is a pure number.
        higher_is_better: True for accuracy, false for a loss.
        meaning: What it is, in a few words; run files hold it.

    Raises:
        ValueError: If the name is none that files can hold, or is taken.
    """

    name: str
    unit: str
    higher_is_better: bool
    meaning: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"a metric is named '{self.name}', but a name must begin with a letter and hold up "
                "to 31 lower-case letters, digits and underscores, such as test_loss"
            )
        if self.name in _TAKEN or self.name.endswith(_ENDS):
            raise ValueError(
                f"a metric is named '{self.name}', but that is the name of something else in run "
                f"files and reports, as are names that end with {', '.join(_ENDS)}; take another"
            )


def check_metrics(metrics: Sequence[Metric]) -> None:
    """Check that runs can be measured by these metrics.

    Raises:
        ValueError: If there are none, or two have one name.
    """
    names = [metric.name for metric in metrics]
    if not names:
        raise ValueError("there are no metrics; give at least one, the one that decides first")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two metrics are named '{twice[0]}'; give each a name of its own")


TEST_ACCURACY = Metric(
    "test_accuracy", FRACTION, True, "share of that set classified rightly, 0 to 1"
)
TEST_LOSS = Metric("test_loss", NATS, False, "mean loss on the whole set that evaluated_on names")
TRAIN_LOSS = Metric("train_loss", NATS, False, "mean loss on a fixed subset of the training set")
CLASSIFICATION = (TEST_ACCURACY, TEST_LOSS, TRAIN_LOSS)
"""The metrics of image classification. The first is what decides where nothing else is asked."""
