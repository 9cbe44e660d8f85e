"""Run files are read by a process of its own, which may die of them."""

import gc
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hybridmpi import read_run
from hybridmpi.errors import UserError
from hybridmpi.runlog.attributes import read_attributes
from hybridmpi.runlog.reading import process

LIMIT_S = 60.0
# Headers of version 2 B-trees, with their checksums: of records without a byte, by whose size HDF5
# divides, and of nodes of two gigabytes.
NO_BYTES = "42544844000800020000000000006428a5030000000000001700170000000000000053eefbe0"
HUGE = "425448440008ffffff7f110000006428a5030000000000001700170000000000000016acdc77"
PROGRAM = """
import os, signal
from hybridmpi.runlog.reading import program

def {read}(path):
    {does}

program._READS["attributes"] = {read}
program._LEAST_CPU_S = 1
program.main()
"""


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have readers of this test's own, and no others at the same time."""
    process._end()
    monkeypatch.setattr(process, "_readers", [process._Reader()])
    yield
    process._end()


def does(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Let the process do something else instead of reading attributes."""
    program = PROGRAM.format(read="odd", does=what)
    monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-P", "-c", program))


def readers() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "hybridmpi.runlog.reading.program" in child.cmdline()
    ]


def wait_until_gone(pid: int) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.mark.parametrize("header", [NO_BYTES, HUGE])
def test_file_that_hdf5_does_not_survive_is_refused_and_others_are_still_read(
    small_run: Path, tmp_path: Path, header: str
) -> None:
    hostile = tmp_path / "hostile.h5"
    content = bytearray(small_run.read_bytes())
    at = content.index(b"BTHD")
    content[at : at + len(header) // 2] = bytes.fromhex(header)
    hostile.write_bytes(content)
    with pytest.raises(UserError, match=r"hostile.h5' (is damaged|needs|was not written)"):
        read_run(hostile)
    assert len(read_run(small_run).gradients) == 5


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"HDF5 crashes of it \(SIGSEGV\); use another"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "perhaps for want of memory; try again"),
        ("os._exit(3)", "ended with exit code 3"),
        ("while True: pass", "reading it takes for ever; use another copy"),
        ("bytearray(2**30)", "needs more memory than"),
        ("raise program.UserError('it is green')", "it is green"),
    ],
)
def test_what_becomes_of_the_process_is_told(
    small_run: Path, monkeypatch: pytest.MonkeyPatch, what: str, message: str
) -> None:
    does(monkeypatch, f"with program.open_run_file(path): {what}" if "while" not in what else what)
    with pytest.raises(UserError, match=message):
        read_attributes(small_run)


def test_fault_of_ours_is_told_with_its_traceback(
    small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    does(monkeypatch, "raise AssertionError('this is a fault')")
    with pytest.raises(RuntimeError, match=r"Traceback(.|\n)*AssertionError: this is a fault"):
        read_attributes(small_run)


def test_waiting_for_a_file_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_LIMIT_S", 0.5)
    os.mkfifo(tmp_path / "run.h5")
    with pytest.raises(UserError, match=r"run.h5' could not be read in time; see whether its file"):
        read_run(tmp_path / "run.h5")


def test_the_process_is_kept_and_ended_when_it_is_idle(
    small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_run(small_run)
    (kept,) = readers()
    read_run(small_run)
    assert readers() == [kept]
    monkeypatch.setattr(process, "_IDLE_S", 0.01)
    read_run(small_run)
    wait_until_gone(kept.pid)
    assert len(read_run(small_run).gradients) == 5


def test_files_that_are_not_there_cost_no_process_each(small_run: Path) -> None:
    read_run(small_run)
    (kept,) = readers()
    with pytest.raises(UserError, match="is not there"):
        read_attributes(small_run.with_name("other.h5"))
    assert readers() == [kept]


def test_process_that_was_killed_between_two_files_is_replaced(small_run: Path) -> None:
    read_run(small_run)
    (kept,) = readers()
    kept.kill()
    psutil.wait_procs([kept], LIMIT_S)
    assert len(read_run(small_run).gradients) == 5


def test_the_process_ends_with_the_one_that_asks(small_run: Path) -> None:
    child = os.fork()
    if not child:
        read_run(small_run)
        os._exit(readers()[0].pid % 251)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    deadline_s = time.monotonic() + LIMIT_S
    while any(
        "hybridmpi.runlog.reading.program" in each.info["cmdline"] and each.pid % 251 == status
        for each in psutil.process_iter(["cmdline"])
        if each.info["cmdline"] and each.ppid() != os.getpid()
    ):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_forked_process_has_a_reader_of_its_own(small_run: Path) -> None:
    read_run(small_run)
    (ours,) = readers()
    child = os.fork()
    if not child:
        gc.collect()
        is_right = len(read_run(small_run).gradients) == 5 and ours not in readers()
        process._end()
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert readers() == [ours]
    assert len(read_run(small_run).gradients) == 5


def test_interrupted_reading_leaves_nothing_behind(
    small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    does(monkeypatch, "import time; time.sleep(300)")
    main = threading.main_thread().ident
    assert main is not None

    def sleepers() -> list[psutil.Process]:
        return [p for p in psutil.Process().children() if "time.sleep(300)" in str(p.cmdline())]

    def interrupt_reading() -> None:
        while not sleepers():
            time.sleep(0.05)
        time.sleep(0.5)
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells' jobs ignore it
    threading.Thread(target=interrupt_reading, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            read_attributes(small_run)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not sleepers()
    monkeypatch.undo()
    assert len(read_run(small_run).gradients) == 5


def test_threads_read_one_after_the_other(small_run: Path) -> None:
    counts: list[int] = []

    def look() -> None:
        counts.extend(len(read_run(small_run).gradients) for _ in range(5))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert counts == [5] * 20


def test_path_is_relative_to_the_folder_of_each_call(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.move(small_run, other / "run.h5")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"'run.h5' is not there"):
        read_run("run.h5")
    monkeypatch.chdir(other)
    assert read_run("run.h5").path == Path("run.h5")


def test_modules_in_the_working_folder_are_not_taken(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h5py.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert len(read_run(small_run).gradients) == 5
