import io

from hybridmpi.relay import Relay, worth_telling

RULE = "-" * 74 + "\n"
WARNING = [
    RULE,
    "WARNING: The selected 'osc' module 'sm' is not tested for post-failure\n",
    "operation, yet you have requested support for fault tolerance.\n",
    RULE,
]


def told(*lines: str) -> list[str]:
    return list(worth_telling(lines))


def test_warning_of_untested_windows_is_left_out() -> None:
    assert told("before\n", *WARNING, "after\n") == ["before\n", "after\n"]


def test_repetitions_of_the_warning_are_left_out() -> None:
    several = "4 more processes have sent help message help-mpi-ft.txt / module:untested\n"
    one = "1 more process has sent help message help-mpi-ft.txt / module:untested\n"
    other = "1 more process has sent help message help-mpi-api.txt / mpi-abort\n"
    assert told(several, one, other) == [other]


def test_other_framed_messages_are_told_whole() -> None:
    abort = [RULE, "MPI_ABORT was invoked on rank 2\n", "\n", RULE]
    assert told(*abort, *WARNING, *abort) == [*abort, *abort]


def test_a_rule_in_front_of_the_warning_stays() -> None:
    assert told(RULE, *WARNING) == [RULE]


def test_last_line_without_an_end_is_told() -> None:
    assert told("a\n", RULE.strip()) == ["a\n", RULE.strip()]
    assert told("a\n", "half") == ["a\n", "half"]


def test_null_bytes_are_left_out() -> None:
    assert told("\0\0", "a\0b\n") == ["", "ab\n"]


def test_relay_passes_on_until_the_source_ends() -> None:
    target = io.StringIO()
    Relay(io.StringIO("".join(["one\n", *WARNING, "two\n"])), target).join(5)
    assert target.getvalue() == "one\ntwo\n"


def test_relay_knows_whether_an_error_was_told() -> None:
    for text, is_told in (("Error: this\n", True), ("an Error: that\n", False)):
        relay = Relay(io.StringIO(text), io.StringIO())
        relay.join(5)
        assert relay.has_told_error is is_told
