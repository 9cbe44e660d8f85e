"""What runs are measured by: the columns of `evaluations`, and how readers see them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A column of `evaluations`.

    Attributes:
        column: Its name.
        higher_is_better: True for accuracy, false for a loss.
        unit: Of the numbers in run files and CSV files.
        shown_unit: Of what is printed and drawn.
        difference_unit: Of a printed or drawn difference.
        scale: Printed numbers are the column's times this.
        decimals: Of printed numbers.
    """

    column: str
    higher_is_better: bool
    unit: str
    shown_unit: str
    difference_unit: str
    scale: float
    decimals: int

    @property
    def label(self) -> str:
        """Its name for readers."""
        return self.column.replace("_", " ")

    def value(self, number: float) -> str:
        """Print a value."""
        return f"{number * self.scale:.{self.decimals}f}"

    def difference(self, number: float) -> str:
        """Print a difference, with its sign; what rounds to 0 has the sign +."""
        rounded = round(number * self.scale, self.decimals) or 0.0
        return f"{rounded:+.{self.decimals}f}"


TEST_ACCURACY = Metric("test_accuracy", True, "fraction", "%", "points", 100, 2)
TEST_LOSS = Metric("test_loss", False, "nats", "nats", "nats", 1, 4)
TRAIN_LOSS = Metric("train_loss", False, "nats", "nats", "nats", 1, 4)
METRICS = {metric.column: metric for metric in (TEST_ACCURACY, TEST_LOSS, TRAIN_LOSS)}
