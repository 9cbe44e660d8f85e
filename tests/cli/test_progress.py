import io
import math
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click import unstyle
from rich.console import Console

from hybridmpi.cli.progress import Nobody, Watcher, watch, wording
from hybridmpi.cli.progress.history import History, sparkline
from hybridmpi.cli.progress.lines import Lines
from hybridmpi.cli.progress.panel import LivePanel, is_fit
from hybridmpi.cli.progress.recent import Recent
from hybridmpi.cli.progress.screen import Screen
from hybridmpi.cli.progress.summary import summary
from hybridmpi.core.metrics import TEST_ACCURACY
from hybridmpi.engines.outcome import Outcome
from hybridmpi.engines.status import Status

STATUS = Status(
    phase="training",
    time_s=10.0,
    gradients=2000,
    discarded=0,
    version=1500,
    threshold=3,
    buffered=2,
    mean_staleness=1.25,
    train_loss=0.5,
    fraction=0.25,
)
VALUES = {"test_accuracy": 0.97, "test_loss": 0.1, "train_loss": 0.1}
OUTCOME = Outcome(
    Path("runs/my run.h5"), "complete", "time limit", True, TEST_ACCURACY, VALUES, "test"
)


class Clock:
    """A clock that stands still until it is set."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal() -> Console:
    """Return a terminal of 90 columns that keeps what is written to it."""
    return Console(file=io.StringIO(), force_terminal=True, width=90, height=30)


@pytest.fixture
def panel(terminal: Console, clock: Clock) -> LivePanel:
    return LivePanel(terminal, "mnist-hybrid-seed0", 25, clock)


def take(console: Console) -> str:
    """Return what has been written to the terminal since the last call."""
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    console.file.seek(0)
    console.file.truncate()
    return text


def words(text: str) -> str:
    return re.sub(r"[\s│]+", " ", unstyle(text))


def at(time_s: float, **changes: Any) -> Status:
    """Return the state of a run of 40 s that makes 200 gradients/s."""
    values = {"time_s": time_s, "fraction": time_s / 40, "gradients": round(200 * time_s)}
    return replace(STATUS, **(values | changes))


class TestWording:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0, "0 s"),
            (59.4, "59 s"),
            (59.6, "1 min 00 s"),
            (3599, "59 min 59 s"),
            (7500, "2 h 05 min"),
        ],
    )
    def test_duration_has_the_units_that_suit_it(self, seconds: float, words: str) -> None:
        assert wording.duration(seconds) == words

    @pytest.mark.parametrize(
        ("value", "words"),
        [(None, "-"), (math.nan, "not finite"), (math.inf, "not finite"), (0.123456, "0.1235")],
    )
    def test_loss_is_never_shown_as_nan(self, value: float | None, words: str) -> None:
        assert wording.loss(value) == words


class TestRecent:
    def test_rate_is_that_of_the_last_seconds(self) -> None:
        recent = Recent()
        for time_s in range(10):
            recent.gradients_per_s(at(time_s))
        rates = [recent.gradients_per_s(at(t, gradients=2000)) for t in (10, 12.5, 15, 20)]
        assert rates == [200, 600 / 5.5, 0, 0]  # none comes after 10 s

    def test_no_time_no_rate(self) -> None:
        assert Recent().gradients_per_s(at(0.0)) == 0.0

    def test_loss_is_a_mean_at_first_and_follows_later(self) -> None:
        recent = Recent()
        assert recent.loss is None
        for version, loss in enumerate((3.0, 1.0, 2.0), start=1):
            recent.note(replace(STATUS, version=version, train_loss=loss))
        assert recent.loss == pytest.approx(2.0)
        for version in range(4, 204):
            recent.note(replace(STATUS, version=version, train_loss=0.5))
        assert recent.loss == pytest.approx(0.5, abs=1e-3)

    def test_loss_of_one_step_counts_once(self) -> None:
        recent = Recent()
        for version, loss in ((1, 3.0), (2, 1.0), (2, 1.0), (2, 1.0)):
            recent.note(replace(STATUS, version=version, train_loss=loss))
        assert recent.loss == pytest.approx(2.0)

    def test_loss_that_is_not_finite_is_shown_and_forgotten(self) -> None:
        recent = Recent()
        shown = []
        for version, loss in enumerate((1.0, math.nan, 3.0), start=1):
            recent.note(replace(STATUS, version=version, train_loss=loss))
            shown.append(recent.loss)
        assert shown == [1.0, pytest.approx(math.nan, nan_ok=True), pytest.approx(2.0)]

    def test_time_left_follows_the_fraction(self) -> None:
        assert Recent().left_s(STATUS, 0.0) == 30.0  # a quarter took 10 s
        assert Recent().left_s(at(0.0), 0.0) is None
        assert Recent().left_s(replace(STATUS, phase="waiting for workers"), 0.0) is None

    def test_evaluation_counts_its_own_time(self) -> None:
        recent = Recent()
        recent.left_s(STATUS, 70.0)
        evaluating = replace(STATUS, phase="evaluating", fraction=0.0)
        assert recent.left_s(evaluating, 100.0) is None
        assert recent.left_s(replace(evaluating, fraction=0.2), 102.0) == pytest.approx(8.0)


class TestHistory:
    def test_values_are_halved_when_there_are_too_many(self) -> None:
        history = History(4)
        for value in range(4):
            history.add(value)
        assert history.values == [0, 1, 2, 3]
        for value in range(4, 8):
            history.add(value)
        assert history.values == [0.5, 2.5, 4.5, 6.5]

    def test_capacity_is_kept_however_long_the_run(self) -> None:
        history = History(18)
        for value in range(10_000):
            history.add(value)
        assert 9 <= len(history.values) <= 18
        assert history.values == sorted(history.values)

    @pytest.mark.parametrize(
        ("values", "drawn"), [([], ""), ([2.0], "▁"), ([5, 5], "▁▁"), ([0, 7, 3.5, 1], "▁█▅▂")]
    )
    def test_sparkline_reaches_from_the_least_to_the_largest(
        self, values: list[float], drawn: str
    ) -> None:
        assert sparkline(values) == drawn


class TestScreen:
    def test_cursor_rests_on_the_empty_line_above(self) -> None:
        stream = io.StringIO()
        Screen(stream).draw("one\ntwo")
        assert stream.getvalue() == "\r\x1b[K\none\x1b[K\ntwo\x1b[K\n\x1b[J\x1b[4A\n"

    def test_every_write_ends_a_line(self) -> None:  # or mpirun holds it back
        stream = io.StringIO()
        screen = Screen(stream)
        screen.draw("one")
        assert stream.getvalue().endswith("\n")
        screen.clear()
        assert stream.getvalue().endswith("\n")


class TestLines:
    @pytest.fixture
    def lines(self, clock: Clock) -> Lines:
        return Lines(clock)

    def test_first_line_comes_after_2_s_then_every_5_s(
        self, lines: Lines, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for tenth in range(171):
            clock.now_s = 100 + tenth / 10
            lines.report(at(tenth / 10))
        head, *rest = capsys.readouterr().out.splitlines()
        assert head.split()[:2] == ["time", "left"]
        assert [line.split()[:4] for line in rest] == [
            ["2", "s", "38", "s"],
            ["5", "s", "35", "s"],
            ["10", "s", "30", "s"],
            ["15", "s", "25", "s"],
        ]

    def test_line_stands_under_its_head(
        self, lines: Lines, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines.report(at(0.0))
        clock.now_s += 10
        lines.report(at(10.0, discarded=12))
        head, line = capsys.readouterr().out.splitlines()
        for name, value in {
            "time": "10 s",
            "left": "30 s",
            "gradients": "2,000",
            "/s": "200",
            "version": "1,500",
            "threshold": "3",
            "buffered": "2",
            "staleness": "1.2",
            "train loss": "0.5",
        }.items():
            end = head.index(name) + len(name)
            assert line[:end].endswith(value)
        assert line.endswith("  12 discarded")

    def test_evaluation_shows_its_own_progress(
        self, lines: Lines, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for seconds, fraction in ((0, 0.0), (1, 0.1), (4, 0.4)):
            clock.now_s = 100.0 + seconds
            lines.report(replace(STATUS, phase="evaluating", fraction=fraction))
        assert capsys.readouterr().out.splitlines() == [
            "evaluating ...",
            "evaluating 40%  6 s left",
        ]

    def test_nothing_is_shown_as_nan_or_infinite(
        self, lines: Lines, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        start = at(0.0, version=0, train_loss=math.nan, mean_staleness=0.0)
        for seconds, status in ((0, start), (3, start), (6, at(5, train_loss=math.inf))):
            clock.now_s = 100.0 + seconds
            lines.report(status)
        out = capsys.readouterr().out
        assert not re.search(r"\b(nan|inf)\b", out)
        assert out.splitlines()[-1].endswith("not finite")

    def test_end_is_summed_up(self, lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
        lines.report(STATUS)
        lines.conclude(OUTCOME)
        assert "test accuracy  97.00 %" in capsys.readouterr().out


class TestPanel:
    def test_panel_shows_the_run(self, panel: LivePanel, terminal: Console) -> None:
        panel.report(STATUS)
        shown = words(take(terminal))
        for part in (
            "hybridmpi mnist-hybrid-seed0",
            "10 s, 30 s left",
            "gradients 2,000 200/s",
            "version 1,500",
            "threshold 3 of 25 workers",
            "buffered 2 ●●○",
            "train loss 0.5 ▁",
            "staleness 1.2 mean",
        ):
            assert part in shown
        assert "discarded" not in shown

    def test_discarded_gradients_are_shown(self, panel: LivePanel, terminal: Console) -> None:
        panel.report(replace(STATUS, discarded=1200))
        assert "discarded 1,200" in words(take(terminal))

    def test_evaluation_shows_no_buffer(self, panel: LivePanel, terminal: Console) -> None:
        panel.report(replace(STATUS, phase="evaluating", threshold=0, fraction=0.5))
        shown = words(take(terminal))
        assert "evaluating" in shown
        assert "threshold" not in shown

    def test_nothing_is_shown_as_nan_or_infinite(
        self, panel: LivePanel, terminal: Console, clock: Clock
    ) -> None:
        panel.report(at(0.0, version=0, train_loss=math.nan))
        assert "train loss - " in words(take(terminal))
        clock.now_s += 1
        panel.report(at(1.0, train_loss=math.inf))
        assert "train loss not finite" in words(take(terminal))

    def test_panel_is_drawn_4_times_a_second_and_when_the_phase_changes(
        self, panel: LivePanel, terminal: Console, clock: Clock
    ) -> None:
        frames = 0
        for hundredth in range(200):
            clock.now_s = 100 + hundredth / 100
            panel.report(at(hundredth / 100))
            frames += "mnist" in take(terminal)
        assert frames == 8
        panel.report(at(2.0, phase="evaluating"))
        assert "evaluating" in take(terminal)

    @pytest.mark.parametrize("width", [60, 90])
    @pytest.mark.parametrize("threshold", [1, 25, 100])
    def test_lines_keep_to_the_width(self, clock: Clock, width: int, threshold: int) -> None:
        console = Console(file=io.StringIO(), force_terminal=True, width=width, height=30)
        panel = LivePanel(console, "a-rather-long-name-of-a-job-hybrid-seed12345", 100, clock)
        panel.report(
            replace(STATUS, gradients=123_456_789, discarded=9, threshold=threshold, buffered=0)
        )
        lines = unstyle(take(console).split("\x1b[J")[0]).splitlines()
        assert len(lines) == 9
        assert all(len(line) == min(width, 84) for line in lines[1:])
        assert all(line[-1] in "│╮╯" for line in lines[1:])

    def test_end_leaves_the_summary_only(self, panel: LivePanel, terminal: Console) -> None:
        panel.report(STATUS)
        take(terminal)
        panel.clear()
        panel.conclude(OUTCOME)
        shown = take(terminal)
        assert shown.startswith("\r\x1b[J\n")
        assert "complete (time limit)" in shown

    @pytest.mark.parametrize(
        ("width", "height", "fits"), [(80, 24, True), (59, 24, False), (80, 9, False)]
    )
    def test_small_terminals_get_lines(self, width: int, height: int, fits: bool) -> None:
        console = Console(force_terminal=True, width=width, height=height, _environ={})
        assert is_fit(console) is fits
        dumb = Console(force_terminal=True, width=80, height=24, _environ={"TERM": "dumb"})
        assert not is_fit(dumb)


class TestSummary:
    def test_complete_run(self) -> None:
        assert summary(OUTCOME, replace(STATUS, discarded=7)).plain.splitlines() == [
            "complete (time limit)",
            "  test accuracy  97.00 %",
            "  gradients      2,000, 7 of them discarded",
            "  steps          1,500",
            "  duration       10 s",
            "  run file       runs/my run.h5",
            "  look at it     hybridmpi show 'runs/my run.h5'",
        ]

    def test_tuning_run_says_what_it_is_evaluated_on(self) -> None:
        _, second, third, *_ = summary(
            replace(OUTCOME, evaluated_on="validation"), STATUS
        ).plain.splitlines()
        assert second == "  validation accuracy  97.00 %"
        assert third == "  gradients            2,000"

    def test_stopped_run(self) -> None:
        outcome = replace(OUTCOME, status="stopped", reason="SIGUSR1", values=None)
        first, second, *_ = summary(outcome, STATUS).plain.splitlines()
        assert first == "stopped by SIGUSR1"
        assert second == "  test accuracy  not evaluated"


@pytest.mark.parametrize(
    ("live", "is_shown", "kind"),
    [(True, True, LivePanel), (False, True, Lines), (True, False, Nobody)],
)
def test_watcher_is_chosen(
    live: bool, is_shown: bool, kind: type[Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"COLUMNS": "90", "LINES": "30", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    with watch(live=live, is_shown=is_shown, title="job", workers=2) as watcher:
        assert type(watcher) is kind


def test_panel_is_gone_when_the_block_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"COLUMNS": "90", "LINES": "30", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    with watch(live=True, is_shown=True) as watcher:
        watcher.report(STATUS)
    assert capsys.readouterr().out.endswith("\r\x1b[J\n")


@pytest.mark.parametrize("kind", ["panel", "lines"])
def test_report_that_draws_nothing_costs_the_server_nothing(
    kind: str, panel: LivePanel, clock: Callable[[], float]
) -> None:
    watcher: Watcher = panel if kind == "panel" else Lines(clock)
    reports = [at(number / 1000, version=number) for number in range(1000)]
    watcher.report(reports[0])
    began_s = time.process_time()
    for status in reports:
        watcher.report(status)
    assert (time.process_time() - began_s) / len(reports) < 50e-6  # 1e-6 on an idle machine


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("lower learning_rate", "lower learning_rate"),
        ("first\nsecond", "first"),
        (
            "worker 2 failed:\nTraceback:\n  frame\nValueError: why\n",
            "worker 2 failed: ValueError: why",
        ),
        ("said:", "said:"),
        ("", ""),
    ],
)
def test_errors_of_several_lines_are_told_in_one(error: str, line: str) -> None:
    assert wording.in_one_line(error) == line
