import os
import time
from functools import partial

import pytest

from hybridmpi.doctor.check import Check, State, guarded, ok


def test_answer_of_a_check_comes_through() -> None:
    assert guarded("it", partial(ok, "it", "fine"), limit_s=30) == Check("it", State.OK, "fine")


@pytest.mark.parametrize(
    ("examine", "found"),
    [
        (partial(int, "x"), "ValueError: invalid literal for int"),
        (partial(os._exit, 7), "the check crashed: exit code 7"),
        (os.abort, "the check crashed: exit code -6"),
    ],
)
def test_check_that_fails_or_crashes_is_a_problem(examine: partial[Check], found: str) -> None:
    check = guarded("it", examine, limit_s=30)
    assert (check.name, check.state) == ("it", State.PROBLEM)
    assert check.found.startswith(found)
    assert check.mend


def test_check_that_hangs_is_ended() -> None:
    began = time.monotonic()
    check = guarded("it", partial(time.sleep, 60), limit_s=0.5)  # type: ignore[arg-type]
    assert time.monotonic() - began < 50
    assert (check.state, check.found) == (State.PROBLEM, "no answer within 0.5 s")
