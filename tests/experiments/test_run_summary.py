import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

from rich.console import Console

from hybridmpi import read_run
from hybridmpi.experiments.run_summary import summarize
from hybridmpi.runlog.writer import RunWriter


def summary_lines(path: Path) -> dict[str, str]:
    """Return the printed lines by their first words."""
    pairs = [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in printed(path).split("\n")]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def printed(path: Path) -> str:
    output = StringIO()
    Console(width=120, file=output).print(summarize(read_run(path)))
    return output.getvalue()


def test_summary_counts_gradients_and_steps(small_run: Path) -> None:
    lines = summary_lines(small_run)
    assert lines["status"] == "complete"
    assert lines["method"] == "hybrid (mean)"
    assert lines["workers"] == "2, 1 of them delayed"
    assert lines["gradients"] == "5 pushed = 3 stepped + 1 discarded + 1 buffered"
    assert lines["gradients per second"] == "0.2"  # 5 / 30 s
    assert lines["steps"] == "2 of 1.50 gradients on average"
    assert lines["staleness"] == "mean 0.40, largest 1"
    assert lines["events"] == "1 non-finite"


def test_summary_gives_results_at_the_end_over_the_interval_and_best(small_run: Path) -> None:
    assert summary_lines(small_run)["test accuracy"].split() == ["60.00%", "46.67%", "60.00%"]


def test_summary_names_the_set_that_a_tuning_run_is_evaluated_on(
    new_run: Callable[..., RunWriter],
) -> None:
    writer = new_run(attributes={"evaluated_on": "validation"})
    writer.evaluation(0.0, 0, 0.0, {"train_loss": 2.0, "test_loss": 2.5, "test_accuracy": 0.1})
    writer.close("complete")
    lines = summary_lines(writer.path)
    assert lines["validation accuracy"].split() == ["10.00%", "-", "10.00%"]
    assert "test accuracy" not in lines
    assert "chosen on the validation set" in " ".join(printed(writer.path).split())


def test_summary_gives_the_share_of_waiting_per_worker(small_run: Path) -> None:
    lines = summary_lines(small_run)
    # rank 1: 3 gradients in 22.9 s, 6 of 30 s waiting; rank 2: 2 in 8 s, 0.5 of 30 s
    assert lines["1"].split() == ["zürich", "cpu", "900", "3", "7.633", "20%"]
    assert lines["2"].split() == ["zürich", "cuda:0", "yes", "897", "2", "4.000", "2%"]


def test_summary_of_an_empty_run_says_what_is_unknown(new_run: Callable[..., RunWriter]) -> None:
    writer = new_run(config={})
    writer.close("failed")
    lines = summary_lines(writer.path)
    assert lines["status"] == "failed"
    assert lines["model"] == "unknown"
    assert lines["events"] == "none"
    assert lines["test accuracy"].split() == ["-", "-", "-"]
    assert lines["1"].split() == ["zürich", "cpu", "900", "0", "-", "-"]
