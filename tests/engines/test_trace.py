"""Traces: who is there when, and what is wrong with a file."""

from pathlib import Path

import pytest

from hybridmpi.engines.simulate.trace import Change, always, read_trace
from hybridmpi.errors import UserError

HEADER = "time_s,worker,event\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.csv"


def test_changes_are_put_in_the_order_of_time(path: Path) -> None:
    path.write_text(HEADER + "7.5,2,join\n2,2,leave\n2,1,leave\n")
    availability = read_trace(path, 3)
    assert availability.present == (1, 2, 3)
    assert availability.changes == (
        Change(2_000_000_000, 2, joins=False),
        Change(2_000_000_000, 1, joins=False),
        Change(7_500_000_000, 2, joins=True),
    )


def test_worker_whose_first_event_is_join_is_not_there_at_the_start(path: Path) -> None:
    path.write_text(HEADER + "1,2,join\n3,2,leave\n4,2,join\n")
    assert read_trace(path, 3).present == (1, 3)


def test_trace_without_lines_lets_all_stay(path: Path) -> None:
    path.write_text(HEADER)
    assert read_trace(path, 3) == always(3)
    assert always(3).present == (1, 2, 3)


def test_one_may_leave_when_another_has_joined_at_the_same_time(path: Path) -> None:
    path.write_text(HEADER + "1,2,join\n1,1,leave\n")
    assert [change.worker for change in read_trace(path, 2).changes] == [2, 1]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbftime_s,worker,event\r\n0.5,1,leave\r\n",
        b"time_s;worker;event\n0,5;1;leave\n",
        "time_s\tworker\tevent\n0.5\t1\tleave\n".encode("utf-16"),
        b"time_s, worker, event\n0.5, 1, leave \n",
    ],
    ids=["Windows", "a spreadsheet where the comma is decimal", "UTF-16 with tabs", "spaces"],
)
def test_traces_of_other_programs_are_read(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert read_trace(path, 2).changes == (Change(500_000_000, 1, joins=False),)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("time_s,worker\n1,1\n", "has the columns ['time_s', 'worker'], but must have"),
        ("worker,time_s,event\n", "has the columns ['worker', 'time_s', 'event'], but must have"),
        ("", "has the columns None, but must have ['time_s', 'worker', 'event']"),
        (HEADER + "1,1,leave\nsoon,1,join\n", "line 3: time_s and worker must be numbers"),
        (HEADER + "1,one,leave\n", "line 2: time_s and worker must be numbers, not {'time_s': '1"),
        (HEADER + "1,1.5,leave\n", "line 2: time_s and worker must be numbers"),
        (HEADER + "1\n", "line 2: time_s and worker must be numbers"),
        (HEADER + "1,1,leave,2\n", "line 2: has more than the 3 values"),
        (HEADER + "nan,1,leave\n", "line 2: time_s is nan, but must be at least 0 and below 1e9"),
        (HEADER + "inf,1,leave\n", "line 2: time_s is inf, but must be at least 0 and below 1e9"),
        (HEADER + "1e300,1,leave\n", "line 2: time_s is 1e+300, but must be at least 0 and below"),
        (HEADER + "1e9,1,leave\n", "line 2: time_s is 1000000000.0, but must be at least 0 and be"),
        (HEADER + "-1,1,leave\n", "line 2: time_s is -1.0, but must be at least 0 and below 1e9"),
        (HEADER + "1,0,leave\n", "line 2: worker is 0, but must be 1 to 2"),
        (HEADER + "1,3,leave\n", "line 2: worker is 3, but must be 1 to 2"),
        (HEADER + "1,1,left\n", "line 2: event is 'left', but must be join or leave"),
        (HEADER + "1,1\n", "line 2: event is 'None', but must be join or leave"),
        (HEADER + "1,1,leave\n2.5,1,leave\n", "worker 1 leaves at 2.5 s, but is not there"),
        (HEADER + "1,1,join\n2,1,join\n", "worker 1 joins at 2 s, but is there already"),
        (HEADER + "1,1,leave\n2,2,leave\n", "leaves no worker at 2 s; let one stay"),
        (HEADER + "1,1,join\n2,2,join\n", "leaves no worker at the start; let one stay"),
    ],
)
def test_wrong_trace_is_refused(path: Path, lines: str, told: str) -> None:
    path.write_text(lines)
    with pytest.raises(UserError) as caught:
        read_trace(path, 2)
    said = str(caught.value)
    assert said.startswith(f"the trace {path}")
    assert told in said


def test_missing_trace_is_refused(path: Path) -> None:
    with pytest.raises(UserError, match=r"the trace .*trace\.csv cannot be read: .*No such file"):
        read_trace(path, 2)


def test_file_that_is_no_text_is_refused(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_trace(path, 2)
