import subprocess
import sys

from hybridmpi.engines.mpi.processes import Process


def of(number: int) -> Process:
    """Return what a process with this number would say of itself."""
    code = "from hybridmpi.engines.mpi.processes import _start_of; import sys; "
    code += f"print(_start_of({number}))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return Process(number, found.stdout.strip())


def test_a_process_is_ended_at_once() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        of(sleeper.pid).kill()
        assert sleeper.wait(10) == -9


def test_another_process_with_the_same_number_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        Process(sleeper.pid, "1").kill()
        Process(sleeper.pid, "").kill()
        assert sleeper.poll() is None
        sleeper.kill()


def test_one_that_has_ended_is_no_error() -> None:
    with subprocess.Popen(["true"]) as ended:
        known = of(ended.pid)
    known.kill()


def test_a_process_knows_itself() -> None:
    this = Process.this()
    assert this.started
    assert this == of(this.number)
