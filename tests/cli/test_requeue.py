import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hybridmpi.cli import requeue as requeue_module
from hybridmpi.cli.go_on import failure_of
from hybridmpi.cli.requeue import Begun, can_go_on, conclude
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.runlog.writer import RunWriter
from hybridmpi.slurm.queue import Allocation
from hybridmpi.supervise import Ending

BY_ITSELF, KILLED = Ending(0, None), Ending(137, None)
USR1, TERM = Ending(138, signal.SIGUSR1), Ending(143, signal.SIGTERM)
ALLOCATION = Allocation("12", nodes=2, restarts=0)


@pytest.mark.parametrize(
    ("status", "ending", "is_further", "is_again"),
    [
        ("stopped", USR1, True, True),
        ("running", USR1, True, True),  # the ranks did not manage to stop in time
        ("stopped", BY_ITSELF, True, True),  # each rank was sent SIGUSR1
        ("running", KILLED, True, True),
        ("running", BY_ITSELF, True, True),  # Open MPI's mpirun, after a signal
        ("stopped", USR1, False, False),
        ("running", KILLED, False, False),
        ("stopped", TERM, True, False),
        ("failed", Ending(1, None), True, False),
        ("failed", USR1, True, False),
        ("without workers", Ending(1, None), True, True),
        ("without workers", Ending(1, None), False, False),
        ("not begun", Ending(2, None), False, False),
    ],
)
def test_run_that_was_stopped_or_killed_goes_on_if_it_got_further(
    status: str, ending: Ending, is_further: bool, is_again: bool
) -> None:
    assert can_go_on(status, ending, is_further=is_further) == is_again


@pytest.fixture
def requeued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    jobs: list[str] = []
    monkeypatch.setattr(requeue_module, "requeue", lambda given: jobs.append(given.job_id))
    return jobs


def run(monkeypatch: pytest.MonkeyPatch, status: str, version: int) -> Begun:
    """Return a run that was at version 5, and stands so now."""
    monkeypatch.setattr(requeue_module, "is_complete", lambda *_: status == "complete")
    monkeypatch.setattr(requeue_module, "status_of", lambda _: status)
    monkeypatch.setattr(requeue_module, "newest_version", lambda _: version)
    monkeypatch.setattr(requeue_module, "has_lost_workers", lambda _: False)
    job: Any = None
    return Begun(job, Path("run.h5"), 5)


def test_complete_run_ends_the_job_whatever_mpirun_says(
    monkeypatch: pytest.MonkeyPatch, requeued: list[str]
) -> None:
    assert conclude(run(monkeypatch, "complete", 5), USR1, ALLOCATION) == 0
    assert requeued == []


def test_stopped_run_puts_its_job_back(
    monkeypatch: pytest.MonkeyPatch, requeued: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert conclude(run(monkeypatch, "stopped", 6), USR1, ALLOCATION) == 0
    assert requeued == ["12"]
    assert capsys.readouterr().err == (
        "'run.h5' is stopped, not complete: job 12 goes back into the queue\n"
    )


def test_run_that_got_nowhere_ends_the_job_and_says_why(
    monkeypatch: pytest.MonkeyPatch, requeued: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert conclude(run(monkeypatch, "running", 5), BY_ITSELF, ALLOCATION) == 1
    assert requeued == []
    assert (
        "no checkpoint was written since the job started: give it more" in capsys.readouterr().err
    )


@pytest.mark.parametrize("version", [5, 6])
def test_failed_run_ends_the_job_with_its_exit_code_and_its_reason(
    monkeypatch: pytest.MonkeyPatch,
    requeued: list[str],
    capsys: pytest.CaptureFixture[str],
    version: int,
) -> None:
    monkeypatch.setattr(requeue_module, "failure_of", lambda _: "10 gradients were not finite")
    assert conclude(run(monkeypatch, "failed", version), Ending(3, None), ALLOCATION) == 3
    assert requeued == []
    assert capsys.readouterr().err == (
        "Error: 'run.h5' is failed, not complete: 10 gradients were not finite. Once that is "
        "mended, submit the job again to go on\n"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("too many NaN; lower it", "too many NaN; lower it"),
        (
            "worker 2 failed:\nTraceback ...\n  line\nValueError: no\n",
            "worker 2 failed: ValueError: no",
        ),
        ("", "no reason is recorded"),
    ],
)
def test_reason_of_a_failed_run_is_told_in_one_line(
    new_run: Callable[..., RunWriter], error: str, told: str
) -> None:
    writer = new_run()
    with suppress(RunFailed):
        writer.close("failed", error=error)
    assert failure_of(writer.path) == told


@pytest.mark.parametrize(
    ("status", "ending", "told"),
    [
        ("running", TERM, "SIGTERM ended the job; submit it again to go on"),
        ("stopped", TERM, "SIGTERM ended the job; submit it again to go on"),
        ("not begun", TERM, "SIGTERM ended the job; submit it again to go on"),
        ("not begun", Ending(2, None), "its ranks ended with exit code 2 before the run began"),
        ("running", KILLED, "the ranks ended with exit code 137, and no checkpoint was written"),
        ("stopped", USR1, "no checkpoint was written since the job started: give it more time"),
    ],
)
def test_last_line_says_why_the_job_ends(
    monkeypatch: pytest.MonkeyPatch,
    requeued: list[str],
    capsys: pytest.CaptureFixture[str],
    status: str,
    ending: Ending,
    told: str,
) -> None:
    assert conclude(run(monkeypatch, status, 5), ending, ALLOCATION) == ending.exit_code
    assert requeued == []
    assert capsys.readouterr().err.startswith(f"Error: 'run.h5' is {status}, not complete: {told}")


def test_job_that_slurm_does_not_take_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Allocation) -> None:
        raise UserError("no")

    monkeypatch.setattr(requeue_module, "requeue", refuse)
    with pytest.raises(UserError):
        conclude(run(monkeypatch, "stopped", 6), USR1, ALLOCATION)
