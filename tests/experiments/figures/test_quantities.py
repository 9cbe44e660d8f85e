import pytest
from matplotlib.figure import Figure

from hybridmpi.core.metrics import CLASSIFICATION
from hybridmpi.errors import UserError
from hybridmpi.experiments.figures.quantities import (
    mark_amounts,
    outcome_quantity,
    quantity,
)
from hybridmpi.experiments.metrics import by_name

METRICS = by_name(CLASSIFICATION)


def test_accuracy_is_in_percent_and_its_differences_in_points() -> None:
    assert quantity("test_accuracy", METRICS).label == "test accuracy (%)"
    label = outcome_quantity("test_accuracy", METRICS).difference_label("async")
    assert label == "mean test accuracy minus async (points)"


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        ("test_loss", "mean test loss (nats)"),
        ("test_accuracy_end", "test accuracy at the end (%)"),
        ("train_loss_best", "best train loss (nats)"),
        ("waiting_share", "waiting share (%)"),
    ],
)
def test_outcomes_say_which_reading_they_are(outcome: str, label: str) -> None:
    assert outcome_quantity(outcome, METRICS).label == label


def test_unknown_quantity_is_refused() -> None:
    with pytest.raises(UserError, match="no quantity 'test_acuracy'; did you mean"):
        quantity("test_acuracy", METRICS)


@pytest.mark.parametrize(
    ("name", "amount", "text"), [("bytes_sent", 2.5e9, "2.5 GB"), ("gradients", 20_000, "20k")]
)
def test_large_amounts_are_marked_in_short(name: str, amount: float, text: str) -> None:
    panel = Figure().subplots()
    mark_amounts(panel.xaxis, name)
    assert panel.xaxis.get_major_formatter()(amount) == text
