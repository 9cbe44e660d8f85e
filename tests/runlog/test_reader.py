import fcntl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hybridmpi import read_run
from hybridmpi.errors import UserError
from hybridmpi.runlog.writer import RunWriter

# Writes 3 pushes for readers to see, a fourth that it keeps to itself, and waits.
WRITER = """
import sys
from hybridmpi.runlog.schema import GRADIENTS
from hybridmpi.runlog.writer import RunWriter
writer = RunWriter.create(sys.argv[1], config={}, attributes={}, layout_json='{"size": 4}', size=4,
                          workers=[(1, "host", "cpu", 10, False)])
rows = GRADIENTS.to_array(
    (batch / 2, 1, batch, 0, 0, True, 0.0, -1, 2.3, 32, 0.1, 0.2, 0.01, 0) for batch in range(4)
)
writer.append(GRADIENTS, rows[:3])
writer.flush()
writer.append(GRADIENTS, rows[3:])
print("flushed", flush=True)
sys.stdin.read()
writer.close("complete")
"""


def start_writer(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "flushed\n"
    return process


def test_tables_come_back_as_data_frames(small_run: Path) -> None:
    run = read_run(small_run)
    assert run.path == small_run
    assert run.status == "complete"
    assert run.config["method"]["preset"] == "hybrid"
    assert len(run.attributes.pop("content_sha256")) == 64
    assert run.attributes == {
        "torch_version": "2.5",
        "hosts": "zürich",
        "schema_version": 1,
        "schema_minor": 1,
        "duration_s": 30.0,
    }
    assert run.layout["entries"][0]["name"] == "w"
    assert run.gradients.time_s.tolist() == [1.0, 8.0, 9.0, 12.0, 29.0]
    assert run.gradients.accepted.tolist() == [True, True, False, True, True]
    assert run.gradients.accepted.dtype == bool
    assert run.gradients.step.tolist() == [1, 2, -1, 2, -1]
    assert run.steps.gradients.tolist() == [1, 2]
    assert run.events.to_dict("records") == [
        {"time_s": 9.0, "kind": "non-finite", "worker": 2, "detail": "loss NaN", "gradients": 3}
    ]
    assert run.workers.host.tolist() == ["zürich", "zürich"]
    assert run.workers.delayed.tolist() == [False, True]
    assert run.final is not None
    assert run.final.dtype == np.float32


def test_every_gradient_is_accounted_for(small_run: Path) -> None:
    count = read_run(small_run).accounting()
    assert (count.pushed, count.stepped, count.discarded, count.buffered) == (5, 3, 1, 1)


def test_interval_mean_is_weighted_by_time(small_run: Path) -> None:
    # 0.1 to 0.5 in 10 s, then 0.5 to 0.6 in 20 s: (0.3 * 10 + 0.55 * 20) / 30
    assert read_run(small_run).interval_mean("test_accuracy") == pytest.approx(14 / 30)


def test_interval_mean_does_not_depend_on_the_order_of_evaluation(
    new_run: Callable[..., RunWriter],
) -> None:
    writer = new_run()
    for time_s, accuracy in ((30.0, 0.6), (0.0, 0.1), (10.0, 0.5)):
        writer.evaluation(
            time_s, 0, 0.0, {"train_loss": 0.0, "test_loss": 0.0, "test_accuracy": accuracy}
        )
    writer.close("complete")
    assert read_run(writer.path).interval_mean("test_accuracy") == pytest.approx(14 / 30)


def test_one_evaluation_spans_no_interval(new_run: Callable[..., RunWriter]) -> None:
    writer = new_run()
    writer.evaluation(0.0, 0, 0.0, {"train_loss": 2.0, "test_loss": 2.0, "test_accuracy": 0.1})
    writer.close("stopped")
    assert np.isnan(read_run(writer.path).interval_mean("test_accuracy"))


def test_interval_mean_of_an_unknown_column_names_the_nearest(small_run: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'test_accuracy'"):
        read_run(small_run).interval_mean("accuracy")


def test_running_file_shows_what_was_flushed(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with start_writer(path) as process:
        run = read_run(path)
        process.communicate("")
    assert (run.status, run.gradients.batch.tolist()) == ("running", [0, 1, 2])
    assert run.duration_s == 1.0
    run = read_run(path)
    assert (run.status, run.gradients.batch.tolist()) == ("complete", [0, 1, 2, 3])


def test_reader_that_stays_does_not_keep_the_run_from_ending(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with start_writer(path) as process, h5py.File(path, swmr=True) as reader:
        fcntl.flock(reader.id.get_vfd_handle(), fcntl.LOCK_SH)
        process.communicate("")
    assert process.returncode == 0
    assert read_run(path).status == "complete"


def test_file_of_a_killed_process_is_read_up_to_the_last_flush(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with start_writer(path) as process:
        process.kill()
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path)
    run = read_run(path)
    assert (run.status, run.gradients.batch.tolist()) == ("running", [0, 1, 2])
    assert run.final is None


def test_missing_file_names_its_neighbours(small_run: Path) -> None:
    with pytest.raises(UserError, match=r"rum\.h5' is not there; did you mean 'run\.h5'"):
        read_run(small_run.with_name("rum.h5"))


def test_missing_file_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not there; there are no \.h5 files"):
        read_run(tmp_path / "run.h5")


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        read_run(tmp_path)


def test_other_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.h5").write_text("not a run")
    with pytest.raises(UserError, match="is not an HDF5 file"):
        read_run(tmp_path / "run.h5")


def test_other_hdf5_file_is_refused(tmp_path: Path) -> None:
    for libver in ("earliest", "latest"):
        with h5py.File(tmp_path / "run.h5", "w", libver=libver) as file:
            file["data"] = 1
        with pytest.raises(UserError, match="was not written by hybridmpi"):
            read_run(tmp_path / "run.h5")


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.5, 0.99])
def test_cut_off_file_is_refused(small_run: Path, share: float) -> None:
    content = small_run.read_bytes()
    small_run.write_bytes(content[: max(10, int(len(content) * share))])
    with pytest.raises(UserError, match="is cut off after"):
        read_run(small_run)


def test_cut_off_file_of_a_killed_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with start_writer(path) as process:
        process.kill()
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(UserError, match="is cut off after"):
        read_run(path)


def test_damaged_rows_are_refused(small_run: Path) -> None:
    content = small_run.read_bytes()
    for number in (np.float64(29.0), np.float32(41.0)):  # a push's time, and a final parameter
        assert content.count(number.tobytes()) == 1
        small_run.write_bytes(content.replace(number.tobytes(), (number + 1).tobytes()))
        with pytest.raises(UserError, match="rows are not those that it was closed with"):
            read_run(small_run)


def test_damaged_file_is_refused(small_run: Path) -> None:
    content = bytearray(small_run.read_bytes())
    content[60:600] = bytes(540)
    small_run.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        read_run(small_run)


def test_file_is_read_once_its_writer_has_closed_it(small_run: Path) -> None:
    content = bytearray(small_run.read_bytes())
    small_run.write_bytes(content[:11] + b"\1" + content[12:])  # open outside SWMR mode
    closing = threading.Timer(0.3, lambda: small_run.write_bytes(content))
    closing.start()
    assert read_run(small_run).status == "complete"
    closing.join()


def test_file_being_closed_is_refused_with_the_way_to_mend_it(small_run: Path) -> None:
    content = bytearray(small_run.read_bytes())
    content[11] = 1  # open for writing, outside SWMR mode
    small_run.write_bytes(content)
    with pytest.raises(UserError, match=r"is being closed .* h5clear --status"):
        read_run(small_run)


def test_importing_the_package_does_not_import_pandas() -> None:
    code = "import sys, hybridmpi; sys.exit('pandas' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_unknown_attribute_of_the_package_is_an_attribute_error() -> None:
    import hybridmpi

    with pytest.raises(AttributeError, match="reed_run"):
        hybridmpi.reed_run  # noqa: B018
