import multiprocessing
import os
from pathlib import Path

import pytest

from hybridmpi.environment import asked_threads, leave_safe_path, safe_path, whole_number


@pytest.mark.parametrize(
    ("value", "number"),
    [("3", 3), (" 4 ", 4), ("0", 0), ("", None), ("2(x3)", None), ("-1", None), ("1.5", None)],
)
def test_whole_numbers_are_read_and_all_else_is_passed_over(value: str, number: int | None) -> None:
    assert whole_number({"N": value}, "N") == number
    assert whole_number({}, "N") is None


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, None),
        ({"OMP_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": ""}, 2),
        ({"OMP_NUM_THREADS": "0"}, None),
        ({"OMP_NUM_THREADS": "many"}, None),
        ({"OMP_NUM_THREADS": "100000"}, None),
        ({"OMP_NUM_THREADS": "2", "HYBRIDMPI_SHARED_THREADS": "1"}, None),
    ],
)
def test_threads_are_asked_for_as_in_torch(
    environment: dict[str, str], threads: int | None
) -> None:
    assert asked_threads(environment) == threads


def _look(answers: "multiprocessing.SimpleQueue[tuple[str, bool]]") -> None:
    import queue

    leave_safe_path()
    answers.put((str(queue.__file__), "PYTHONSAFEPATH" in os.environ))


def test_processes_that_are_started_take_pythons_own_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("queue", "types"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken for Python\\'s own')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    context = multiprocessing.get_context("spawn")
    with safe_path():
        answers = context.SimpleQueue()
        process = context.Process(target=_look, args=(answers,))
        process.start()
    process.join(60)
    assert process.exitcode == 0
    file, is_seen_by_users_code = answers.get()
    assert not file.startswith(str(tmp_path))
    assert not is_seen_by_users_code
    assert "PYTHONSAFEPATH" not in os.environ
