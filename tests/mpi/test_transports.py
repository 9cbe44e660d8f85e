"""One set of checks for every form of every transport."""

from pathlib import Path
from typing import Any

import pytest

FORMS = ("waiting", "waiting-broadcast", "collective", "shared-1", "shared-2")


@pytest.mark.parametrize("num_ranks", [2, 4])
def test_each_end_receives_what_the_other_sends(ranks: Any, num_ranks: int) -> None:
    script = str(Path(__file__).parent / "transport_rounds.py")
    ended = ranks.mpirun(num_ranks, "-m", "mpi4py", script, *FORMS)
    assert ended.exit_code == 0, ended
    assert ended.stdout.splitlines() == [f"passed {form}" for form in FORMS]
