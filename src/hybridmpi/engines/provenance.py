"""What a run file says of where a run came from."""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version as library_version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from hybridmpi import __version__
from hybridmpi.core.revision import PROTOCOL_REVISION
from hybridmpi.errors import UserError
from hybridmpi.learning.imports import is_private, make_current_folder_importable, make_importable

if TYPE_CHECKING:
    from hybridmpi.runlog.run import Run

_LIBRARIES = ("torch", "numpy", "h5py")


def provenance(
    engine: str,
    *,
    num_workers: int,
    training_samples: int,
    evaluated_on: str,
    hosts: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, str | int | float]:
    """Return what a reader, or a replay, must know of a run besides its job.

    Args:
        engine: "mpi" or "simulate".
        num_workers: Number of workers.
        training_samples: Size of the training set, without what is held out; 0 where there is none.
        evaluated_on: "test" or "validation".
        hosts: Usable cores of each machine, by its name.
    """
    return {
        "engine": engine,
        "hybridmpi_version": __version__,
        "protocol_revision": PROTOCOL_REVISION,
        "library_versions": json.dumps({name: library_version(name) for name in _LIBRARIES}),
        "python_version": platform.python_version(),
        "hosts": json.dumps(dict(hosts), sort_keys=True),
        "num_workers": num_workers,
        "torch_threads": torch.get_num_threads(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "training_samples": training_samples,
        "evaluated_on": evaluated_on,
        "started_in": str(Path.cwd()),
        "started_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def find_own_code(attributes: Mapping[str, Any]) -> None:
    """Have the user's modules found that a run was made with, whatever the current folder.

    They are looked for in the current folder first. The folder in which the run was started comes
    last, and only if nobody but this user can have put files there: a run file may come from
    elsewhere, and names any folder.
    """
    make_current_folder_importable()
    folder = Path(str(attributes.get("started_in", ".")))
    if folder.is_absolute() and is_private(folder):
        make_importable(folder)


def check_same_workers(run: "Run") -> None:
    """Refuse a run whose workers were not the same throughout.

    Raises:
        UserError: If it was resumed with another number of workers.
    """
    if run.attributes.get("shared_out_anew"):
        raise UserError(
            f"'{run.path}' was resumed with another number of workers, among which its data were "
            "shared out anew; such a run cannot be replayed, and no machine can be fitted to it"
        )
