import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from hybridmpi.runlog import room


def test_file_that_may_grow_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_PIECE_BYTES", 1000)
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("r+b") as file:
        room.check_room(file.fileno(), 2500)
    assert path.read_bytes() == b"content"


def test_file_that_may_not_grow_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_PIECE_BYTES", 1000)
    path = tmp_path / "file"
    path.write_bytes(b"content")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2506, limits[1]))
    try:
        with path.open("r+b") as file, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            room.check_room(file.fileno(), 2500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"content"
