"""Checks of what learning needs: Python, torch, torchvision."""

import platform
import sys
import warnings

from hybridmpi.doctor.check import Check, ok, problem

PYTHON, TORCH, TORCHVISION = "Python", "torch", "torchvision"
_OLDEST_PYTHON = (3, 11)


def python() -> Check:
    """Look at this Python's version."""
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < _OLDEST_PYTHON:
        return problem(PYTHON, found, "use Python 3.11 or newer")
    return ok(PYTHON, found)


def torch() -> Check:
    """Look at torch's version and the devices that it sees."""
    try:
        with warnings.catch_warnings(action="ignore"):  # such as one about an old driver
            import torch as package

            gpus = [
                package.cuda.get_device_name(index) for index in range(package.cuda.device_count())
            ]
    except (ImportError, OSError, RuntimeError) as error:
        return problem(TORCH, f"does not load: {_first_line(error)}", "pip install torch")
    devices = ", ".join(["cpu", *(f"cuda:{index} ({name})" for index, name in enumerate(gpus))])
    return ok(TORCH, f"{package.__version__}, {package.get_num_threads()} threads; {devices}")


def torchvision() -> Check:
    """See whether torchvision loads, and its operators with it."""
    try:
        import torch as package
        import torchvision as vision

        vision.ops.nms(package.zeros(1, 4), package.zeros(1), 0.5)
    except (ImportError, OSError, RuntimeError) as error:
        return problem(
            TORCHVISION,
            f"does not load: {_first_line(error)}",
            "its build does not fit torch's (CPU with CPU, CUDA with CUDA): reinstall both in one "
            "go from one package index: pip install --force-reinstall torch torchvision",
        )
    return ok(TORCHVISION, f"{vision.__version__}, operators load")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
