"""What a process inherits from whoever starts it: variables and standard streams.

A notebook, a cron job, a container or a scheduler leaves things there that are meant for others, or
leaves out what libraries count on.
"""

import io
import os
import pwd
import sys
import tempfile
import warnings

_STREAMS = ("stdin", "stdout", "stderr")


def settle() -> None:
    """Make them fit for this process, and for those that it starts."""
    _open_streams()
    _print_any_text()
    _leave_missing_folder()
    _give_home()
    _let_warnings_be_warnings()
    if "MPLBACKEND" in os.environ:  # Jupyter names its own; figures here go to files
        os.environ["MPLBACKEND"] = "agg"


def _open_streams() -> None:
    """Open streams that are closed, or the next file to be opened takes their place."""
    for number, name in enumerate(_STREAMS):
        mode = os.O_WRONLY if number else os.O_RDONLY
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def _print_any_text() -> None:
    """Have characters that a stream's encoding lacks replaced, not refused."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _leave_missing_folder() -> None:
    """Take back a TMPDIR that does not exist: Open MPI would make it, or fail where it may not."""
    if not os.path.isdir(os.environ.get("TMPDIR") or "/"):
        del os.environ["TMPDIR"]


def _give_home() -> None:
    """Set HOME where it is missing: Open MPI does not start without it."""
    if os.environ.get("HOME"):
        return
    try:
        os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a container may run under a number that has no name
        os.environ["HOME"] = tempfile.gettempdir()


def _let_warnings_be_warnings() -> None:
    """Take back PYTHONWARNINGS=error, under which libraries that we use cannot be imported."""
    if any(option.partition(":")[0] == "error" for option in sys.warnoptions):
        os.environ.pop("PYTHONWARNINGS", None)
        warnings.simplefilter("default")
