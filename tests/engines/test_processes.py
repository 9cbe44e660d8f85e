import subprocess
import sys
import time

import pytest

from hybridmpi.engines.mpi.processes import Process, Watch


def of(number: int) -> Process:
    """Return what a process with this number would say of itself."""
    code = "from hybridmpi.engines.mpi.processes import _start_of; import sys; "
    code += f"print(_start_of({number}))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return Process(number, found.stdout.strip())


def test_a_process_is_ended_at_once() -> None:
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        of(sleeper.pid).kill()
        assert sleeper.wait(60) == -9


def test_another_process_with_the_same_number_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "600"]) as sleeper:
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


ENDS = {
    "exit code 0": "exit 0",
    "exit code 3": "exit 3",
    "SIGKILL": "kill -KILL $$",
    "SIGSEGV": "kill -SEGV $$",
}


@pytest.mark.parametrize("can_open", [True, False], ids=["by handle", "by number"])
def test_the_end_of_a_process_is_noticed_however_it_ends(
    monkeypatch: pytest.MonkeyPatch, can_open: bool
) -> None:
    if not can_open:
        monkeypatch.delattr("os.pidfd_open")
    shells = [
        subprocess.Popen(["sh", "-c", f"read word; {end}"], stdin=subprocess.PIPE)
        for end in (*ENDS.values(), "exit 4")
    ]
    told: list[int] = []
    watch = Watch({n: of(shell.pid) for n, shell in enumerate(shells)}, lambda n, _: told.append(n))
    for shell in shells[: len(ENDS)]:
        shell.communicate(b"\n", timeout=60)
    deadline_s = time.monotonic() + 60
    while len(watch.ended()) < len(ENDS) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    time.sleep(0.3)  # nothing more may come
    watch.close()
    shells[-1].kill()
    shells[-1].communicate()
    assert sorted(told) == sorted(watch.ended()) == list(range(len(ENDS)))
    for n, how in enumerate(ENDS):  # older kernels don't tell
        assert watch.ended()[n] in (f"its process has ended ({how})", "its process has ended")


def test_only_what_is_watched_can_be_killed() -> None:
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        watch = Watch({1: of(sleeper.pid), 2: Process(sleeper.pid, "of another machine")})
        assert not watch.kill(2)
        assert sleeper.poll() is None
        assert watch.kill(1)
        assert sleeper.wait(60) == -9
        watch.close()
