"""A run's final parameters under their names, as torch's load_state_dict takes them."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridmpi.errors import UserError
from hybridmpi.runlog.replacing import check_free, replacing
from hybridmpi.runlog.run import Run


def state_dict(run: Run) -> dict[str, NDArray[Any]]:
    """Return the final parameters and buffers by name, each with its shape and dtype.

    Raises:
        UserError: If the run has not written them, or they are not as its layout says.
    """
    if run.final is None:
        raise UserError(
            f"'{run.path}' has no final parameters (its status is '{run.status}'); "
            "they are written when a run ends, so wait for that or name another run"
        )
    try:
        return {entry["name"]: _tensor(run.final, entry) for entry in run.layout["entries"]}
    except (LookupError, ValueError, TypeError) as error:
        raise UserError(
            f"'{run.path}' is damaged: its layout does not fit its parameters: {error}"
        ) from error


def save_state_dict(run: Run, path: Path, force: bool = False) -> None:
    """Write the final parameters as a safetensors file, with the run's origin as metadata.

    Args:
        run: A run that has ended.
        path: The file to write.
        force: Whether a file that is already there may be replaced.

    Raises:
        UserError: If the run has no final parameters, or the file cannot be written.
    """
    from safetensors.numpy import save

    check_free(path, force)
    metadata = {
        "run": run.path.name,
        **run.learned,
        "version": str(run.final_version),
    }
    tensors = save(state_dict(run), metadata=metadata)
    with replacing(path) as beside:
        beside.write_bytes(tensors)


def _tensor(vector: NDArray[np.float32], entry: Mapping[str, Any]) -> NDArray[Any]:
    shape, offset, dtype = tuple(entry["shape"]), entry["offset"], entry["dtype"]
    if np.dtype(dtype).kind not in "fiub":
        raise ValueError(f"there are no numbers of type '{dtype}'")
    values = vector[offset : offset + math.prod(shape)]
    if entry.get("is_channels_last"):
        outer, channels, height, width = shape
        values = values.reshape(outer, height, width, channels).transpose(0, 3, 1, 2)
    # Integers travel as float32, and means of them need not be whole.
    exact = values if np.dtype(dtype).kind == "f" else np.rint(values)
    return np.ascontiguousarray(exact, dtype).reshape(shape)
