"""Asking the process that reads run files.

Where HDF5 crashes of a file, hangs, or takes memory beyond all reason, that process ends, and not
the one that wants to know.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hybridmpi.errors import UserError
from hybridmpi.runlog.reading.exchange import Dtype, Reading, dtype_from_json, length

# Not with modules from the working folder (-P), whose files may be anybody's.
_COMMAND = (sys.executable, "-P", "-m", "hybridmpi.runlog.reading.program")
# An h5py that was built with MPI must not begin with it in a rank's place.
_VARIABLES = {"MPI4PY_RC_INITIALIZE": "0", "OPENBLAS_NUM_THREADS": "1"}
_IDLE_S = 10.0  # after which the process is ended: starting one takes a quarter of a second
_LIMIT_S = 300.0  # for an answer; of processor time it may take much less
_BYTES_PER_S = 1e6  # of a file that is far away
_ROOT = Path(__file__).parents[3]


class _Ended(Exception):  # noqa: N818 - not always an error
    """The process has ended instead of answering."""


class _Program:
    """A process that reads run files."""

    def __init__(self) -> None:
        path = [folder for folder in sys.path if folder not in ("", str(Path.cwd()))] + [str(_ROOT)]
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _VARIABLES | {"PYTHONPATH": os.pathsep.join(path)},
            start_new_session=True,  # Ctrl-C is not meant for it
        )

    def ask(self, request: Mapping[str, Any], limit_s: float) -> Reading:
        """Return the answer.

        Raises:
            UserError: If the file is refused, or reading it ended the process.
        """
        began_s = time.monotonic()
        too_late = threading.Timer(limit_s, self._process.kill)
        too_late.daemon = True
        too_late.start()
        try:
            head = self._exchange(json.dumps(request).encode() + b"\n")
            arrays = {name: self._array(*what) for name, what in head.get("arrays", {}).items()}
        except (BrokenPipeError, _Ended):
            how = self._how_it_ended(is_too_late=time.monotonic() - began_s >= limit_s)
            raise UserError(f"'{request['path']}' {how}") from None
        except BaseException:
            self.end()  # it may still be at it
            raise
        finally:
            too_late.cancel()
        if "values" in head:
            return Reading(head["values"], arrays)
        if Path(request["path"]).exists():
            self.end()  # HDF5 may be in a state in which it crashes of the next file
        if "refused" in head:
            raise UserError(head["refused"])
        raise RuntimeError(f"'{request['path']}' could not be read:\n{head['failed']}")

    def is_there(self) -> bool:
        """Say whether it can be asked."""
        return self._process.poll() is None

    def end(self) -> None:
        """End it. By itself it ends when this process does."""
        self._process.kill()
        self._process.wait()
        for pipe in self._pipes():
            with suppress(BrokenPipeError):  # of a request that it did not live to see
                pipe.close()

    def _exchange(self, request: bytes) -> dict[str, Any]:
        stdin, stdout = self._pipes()
        stdin.write(request)
        stdin.flush()
        line = stdout.readline()
        if not line.endswith(b"\n"):
            raise _Ended
        head: dict[str, Any] = json.loads(line)
        return head

    def _array(self, rows: int, dtype: Dtype) -> NDArray[Any]:
        array = np.empty(rows, dtype_from_json(dtype))
        if self._pipes()[1].readinto(array.view(np.uint8).data) != array.nbytes:
            raise _Ended
        return array

    def _pipes(self) -> tuple[IO[bytes], Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def _how_it_ended(self, *, is_too_late: bool) -> str:
        code = self._process.wait()
        if is_too_late:
            return "could not be read in time; see whether its file system answers"
        if code == -signal.SIGKILL:
            return "could not be read: reading it was ended, perhaps for want of memory; try again"
        if code == -signal.SIGXCPU:
            return "is damaged: reading it takes for ever; use another copy of it"
        if code < 0:
            name = signal.Signals(-code).name
            return f"is damaged: HDF5 crashes of it ({name}); use another copy of it"
        return f"could not be read: the process that reads ended with exit code {code}"


class _Reader:
    """Keeps a process that reads while there is something to read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._program: _Program | None = None
        self._idle: threading.Timer | None = None

    def read(self, request: Mapping[str, Any], limit_s: float) -> Reading:
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            if self._program is None or not self._program.is_there():
                self._end()
                self._program = _Program()
            try:
                return self._program.ask(request, limit_s)
            finally:
                self._idle = threading.Timer(_IDLE_S, self.end)
                self._idle.daemon = True
                self._idle.start()

    def end(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._program is not None:
            self._program.end()
            self._program = None


_readers = [_Reader()]  # of this process, behind those of the processes that it was forked from
os.register_at_fork(after_in_child=lambda: _readers.append(_Reader()))


@atexit.register
def _end() -> None:
    _readers[-1].end()


def read(what: str, path: Path, *arguments: object) -> Reading:
    """Read a run file.

    Args:
        what: The name of a function of `reading.program`.
        path: The file.
        arguments: Of that function, behind the path.

    Raises:
        UserError: If the file cannot be read.
    """
    folder = None if path.is_absolute() else str(Path.cwd())
    request = {"read": what, "folder": folder, "path": str(path), "arguments": arguments}
    return _readers[-1].read(request, _LIMIT_S + length(path) / _BYTES_PER_S)
