"""The end of a run: who leaves when."""

from pathlib import Path
from typing import Any


def test_no_worker_leaves_before_the_last_has_done_its_part(ranks: Any) -> None:
    script = str(Path(__file__).parent / "farewells.py")
    ended = ranks.mpirun(4, "-m", "mpi4py", script)
    assert ended.exit_code == 0, ended
    assert ended.stdout == "passed\n"
