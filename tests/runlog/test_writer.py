import json
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from hybridmpi import read_run
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.runlog.schema import GRADIENTS
from hybridmpi.runlog.writer import RunWriter

NewRun = Callable[..., RunWriter]


def push(writer: RunWriter, worker: int = 1) -> int:
    row = (0.5, worker, 0, 0, 0, True, 0.0, -1, 2.3, 32, 0.4, 0.1, 0.01, 0)
    return writer.append(GRADIENTS, GRADIENTS.to_array([row]))


def resolve(writer: RunWriter, row: int, step: int, weight: float) -> None:
    writer.amend(GRADIENTS, np.array([row]), step=np.array([step]), weight=np.array([weight]))


@contextmanager
def full_disk(num_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond some bytes, pytest's own output included."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_new_file_is_readable_and_running(new_run: NewRun) -> None:
    writer = new_run()
    run = read_run(writer.path)
    assert run.status == "running"
    assert run.gradients.empty
    assert run.final is None


def test_columns_are_explained_in_the_file(new_run: NewRun) -> None:
    writer = new_run()
    writer.close("complete")
    with h5py.File(writer.path) as file:
        for name in ("gradients", "steps", "evaluations", "workers", "events"):
            for column in file[name].dtype.names:
                assert len(file[name].attrs[column]) > 10


def test_missing_folders_are_made(new_run: NewRun, tmp_path: Path) -> None:
    assert new_run(tmp_path / "a" / "b" / "run.h5").path.exists()


def test_existing_file_is_refused_and_left_alone(new_run: NewRun, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_text("precious")
    with pytest.raises(UserError, match=r"run\.h5' exists already.*--force"):
        new_run(path)
    assert path.read_text() == "precious"


def test_existing_file_is_replaced_by_force(new_run: NewRun, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_text("old")
    new_run(path, force=True).close("complete")
    assert read_run(path).status == "complete"
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]


def test_existing_file_survives_a_failure_to_replace_it(new_run: NewRun, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_text("precious")
    with pytest.raises(TypeError):
        new_run(path, force=True, config={"not JSON": object()})
    assert path.read_text() == "precious"
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]


def test_folder_that_is_a_file_is_refused(new_run: NewRun, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        new_run(tmp_path / "file" / "run.h5")


def test_path_that_is_a_folder_is_refused(new_run: NewRun, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        new_run(tmp_path, force=True)


def test_push_is_in_no_step_until_it_is_resolved(new_run: NewRun) -> None:
    writer = new_run()
    early, never, late = (push(writer, worker) for worker in (1, 2, 1))
    resolve(writer, early, 1, 1.0)
    writer.flush()
    assert read_run(writer.path).gradients.step.tolist() == [1, -1, -1]
    resolve(writer, late, 7, 0.25)
    push(writer)
    writer.flush()
    gradients = read_run(writer.path).gradients
    assert gradients.step.tolist() == [1, -1, 7, -1]
    assert gradients.weight.tolist() == [1.0, 0.0, 0.25, 0.0]
    assert never == 1


def test_final_parameters_count_once_the_file_is_closed(new_run: NewRun) -> None:
    writer = new_run()
    parameters = np.linspace(-1, 1, 7, dtype=np.float32)
    writer.final(parameters, 12)
    writer.flush()
    assert read_run(writer.path).final is None
    writer.close("stopped", duration_s=2.5)
    run = read_run(writer.path)
    assert run.final is not None
    assert run.final.tobytes() == parameters.tobytes()
    assert run.final_version == 12
    assert run.status == "stopped"
    assert run.duration_s == 2.5


def test_snapshots_are_kept_when_asked_for(new_run: NewRun) -> None:
    writer = new_run(keep_snapshots=True)
    for version in (0, 4):
        writer.snapshot(version / 2, version, np.full(7, version, np.float32))
    writer.close("complete")
    run = read_run(writer.path)
    assert run.snapshots.to_dict("list") == {"time_s": [0.0, 2.0], "version": [0, 4]}
    assert run.snapshot(4).tolist() == [4.0] * 7
    with pytest.raises(UserError, match=r"no snapshot of version 3; kept: 0, 4"):
        run.snapshot(3)


def test_snapshots_are_left_out_otherwise(new_run: NewRun) -> None:
    writer = new_run()
    writer.snapshot(0.0, 0, np.zeros(7, np.float32))
    writer.close("complete")
    assert read_run(writer.path).snapshots.empty


def test_closing_writes_what_is_left_and_a_second_time_nothing(new_run: NewRun) -> None:
    writer = new_run()
    push(writer)
    writer.close("complete", duration_s=1.0)
    writer.close("failed", duration_s=9.0)
    run = read_run(writer.path)
    assert (run.status, run.duration_s, len(run.gradients)) == ("complete", 1.0, 1)


def test_file_that_another_process_put_in_its_place_is_left_alone(
    new_run: NewRun, tmp_path: Path
) -> None:
    ours = new_run(tmp_path / "run.h5")
    theirs = new_run(tmp_path / "run.h5", force=True)
    with pytest.raises(RunFailed, match="another process"):
        ours.close("stopped")
    ours.close("failed")
    assert read_run(theirs.path).status == "running"
    theirs.close("complete")
    assert read_run(theirs.path).status == "complete"


def test_a_run_does_not_end_as_running(new_run: NewRun) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        new_run().close("running")


def test_long_layouts_fit(new_run: NewRun) -> None:
    entry = {"name": "w", "shape": [1], "offset": 0, "dtype": "float32", "is_parameter": True}
    writer = new_run(layout_json=json.dumps({"size": 7, "entries": [entry] * 3000}))
    writer.close("complete")
    assert len(read_run(writer.path).layout["entries"]) == 3000
    with pytest.raises(UserError, match="too many parameter tensors"):
        new_run(layout_json=json.dumps({"size": 7, "entries": [entry] * 60_000}), force=True)


def test_full_disk_names_the_file_and_spoils_nothing(new_run: NewRun) -> None:
    writer = new_run()
    for _ in range(1000):
        push(writer)
    writer.flush()
    flushed_bytes = writer.path.stat().st_size
    with full_disk(flushed_bytes + 1000):
        for _ in range(1000):
            push(writer)
        words = r"run\.h5' failed: .*No space left.* up to 1,000 gradients, version 0"
        with pytest.raises(RunFailed, match=words) as failure:
            writer.flush()
        writer.close("failed", error=str(failure.value))
        writer.close("failed")
    assert writer.path.stat().st_size <= flushed_bytes
    run = read_run(writer.path)
    assert (run.status, len(run.gradients)) == ("failed", 1000)
    assert "No space left" in run.attributes["error"]


def test_run_whose_last_rows_have_no_room_has_failed_and_says_so(new_run: NewRun) -> None:
    writer = new_run()
    push(writer)
    with full_disk(writer.path.stat().st_size), pytest.raises(RunFailed, match="too large"):
        writer.close("complete", duration_s=1.0)
    run = read_run(writer.path)
    assert (run.status, len(run.gradients), run.duration_s) == ("failed", 0, 1.0)
    assert "it holds everything up to 0 gradients, version 0" in run.attributes["error"]


def test_what_a_run_failed_of_is_told_with_what_its_file_failed_of(new_run: NewRun) -> None:
    writer = new_run()
    push(writer)
    words = "worker 2 failed\nwriting the run file .* too large"
    with full_disk(writer.path.stat().st_size), pytest.raises(RunFailed, match=words):
        writer.close("failed", error="worker 2 failed")
    assert read_run(writer.path).attributes["error"] == "worker 2 failed"


def test_end_of_a_run_needs_no_room(new_run: NewRun) -> None:
    writer = new_run()
    push(writer)
    writer.flush()
    writer.final(np.ones(7, np.float32), 3)
    with full_disk(writer.path.stat().st_size):
        writer.close("complete", duration_s=1.0, bytes_sent=7)
    run = read_run(writer.path)
    assert (run.status, run.final_version, run.attributes["bytes_sent"]) == ("complete", 3, 7)


def test_long_reasons_are_cut_in_the_middle(new_run: NewRun) -> None:
    writer = new_run()
    writer.close("failed", error="first" + "é" * 10_000 + "last")
    error = read_run(writer.path).attributes["error"]
    assert error.startswith("firsté")
    assert error.endswith("élast")
    assert "[...]" in error


def test_full_disk_leaves_no_broken_file_behind(new_run: NewRun, tmp_path: Path) -> None:
    with full_disk(10_000), pytest.raises(UserError, match="cannot write"):
        new_run(size=1_000_000)
    assert not list(tmp_path.iterdir())
