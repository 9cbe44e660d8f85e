"""The hash of what a run consists of."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridmpi.runlog import schema

PARTS = (*(table.name for table in schema.LOGS), schema.WORKERS.name, "final")


def content_hash(parts: Iterable[NDArray[Any]]) -> str:
    """Return a hash of a run's tables and final parameters, given in the order of `PARTS`.

    Not of where it came from: job, versions, hosts' names in attributes, start time.
    """
    digest = hashlib.sha256()
    for name, values in zip(PARTS, parts, strict=True):
        digest.update(f"{name}:".encode())
        digest.update(np.ascontiguousarray(values).view(np.uint8).data)
    return digest.hexdigest()
