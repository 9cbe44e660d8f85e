"""Checks of files: the data sets to read, the folder to write run files to."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hybridmpi.doctor.check import Check, ok, problem, warning

DATA, OUTPUT = "data", "output"
_CIFAR10 = "cifar-10-batches-py"
_READ = "import h5py, sys; print(h5py.File(sys.argv[1], 'r', swmr=True)['rows'][:])"
_READ_LIMIT_S = 30.0


def data(root: Path) -> Check:
    """See which data sets lie below `root`, packed or unpacked; their content is not read."""
    if not root.is_dir():
        return warning(
            DATA,
            f"no folder '{root}'",
            "name the folder of your data sets with --data or HYBRIDMPI_DATA; only the data sets "
            "'digits' and 'synthetic' need none",
        )
    found = [
        name
        for name, present in (
            ("mnist", _has_idx_files(root / "MNIST" / "raw")),
            ("fashion-mnist", _has_idx_files(root / "FashionMNIST" / "raw")),
            ("cifar10", _has_cifar10(root)),
        )
        if present
    ]
    if not found:
        return warning(
            DATA,
            f"{root}: neither mnist, fashion-mnist nor cifar10",
            "put them there as torchvision does, or let a run do it: --set data.download=true",
        )
    return ok(DATA, f"{root}: {', '.join(found)}")


def _has_idx_files(folder: Path) -> bool:
    names = (
        f"{part}-{kind}-ubyte"
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    )
    return all((folder / name).exists() or (folder / f"{name}.gz").exists() for name in names)


def _has_cifar10(root: Path) -> bool:
    batches = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
    return all((root / _CIFAR10 / batch).exists() for batch in batches) or any(
        (root / f"cifar-10-python.tar.{packed}").exists() for packed in ("gz", "xz")
    )


def output(folder: Path) -> Check:
    """Write a tiny HDF5 file and read it while it is open, as `hybridmpi show` does with runs."""
    where = _existing(folder.resolve())
    if not os.access(where, os.W_OK):
        return problem(
            OUTPUT, f"{where} is not writable", "write elsewhere: --output FOLDER/run.h5"
        )
    with tempfile.TemporaryDirectory(dir=where, prefix=".hybridmpi-doctor-") as scratch:
        try:
            _write_and_read(Path(scratch) / "run.h5")
        except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
            return problem(
                OUTPUT,
                f"{where}: an HDF5 file cannot be written, and read while it is: {error}",
                "set HDF5_USE_FILE_LOCKING=FALSE, or write to a local disk",
            )
    return ok(OUTPUT, f"{where}: writable; HDF5 files can be read while they are written")


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _write_and_read(path: Path) -> None:
    from hybridmpi.runlog import file_format

    with file_format.create(path) as file:
        rows = file.create_dataset("rows", shape=(0,), maxshape=(None,), dtype="i8")
        file.swmr_mode = True
        rows.resize((1,))
        rows[0] = 42
        file.flush()
        # Another process reads: in this one the library would share its state, locks and all.
        read = subprocess.run(
            [sys.executable, "-P", "-c", _READ, str(path)],
            capture_output=True,
            text=True,
            timeout=_READ_LIMIT_S,
            check=False,
        )
    if read.stdout.strip() != "[42]":
        raise ValueError((read.stderr.strip().splitlines() or ["it looks empty"])[-1])
