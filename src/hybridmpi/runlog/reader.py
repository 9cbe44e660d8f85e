"""Reading a run file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridmpi.runlog.run import Run
from hybridmpi.runlog.run_file import open_run_file
from hybridmpi.runlog.schema import EVALUATIONS, EVENTS, GRADIENTS, SNAPSHOTS, STEPS, WORKERS, Table


def read_run(path: str | Path) -> Run:
    """Read a run file: of a run that ended, that goes on, or whose process was killed.

    Raises:
        UserError: If the file is not there, is no run file, or is damaged.
    """
    path = Path(path)
    with open_run_file(path) as file:
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
        final_version = int(file["final"].attrs["version"])
        return Run(
            path=path,
            status=attributes.pop("status"),
            config=json.loads(attributes.pop("config")),
            layout=json.loads(attributes.pop("layout")),
            attributes=attributes,
            gradients=_frame(file, GRADIENTS),
            steps=_frame(file, STEPS),
            evaluations=_frame(file, EVALUATIONS),
            workers=_frame(file, WORKERS),
            events=_frame(file, EVENTS),
            snapshots=_frame(file, SNAPSHOTS),
            final=file["final"][()] if final_version >= 0 else None,
            final_version=final_version,
        )


def _frame(file: Any, table: Table) -> pd.DataFrame:
    rows = file[table.name][()] if table.name in file else np.empty(0, table.dtype)
    return pd.DataFrame({name: _decoded(rows[name]) for name in table.dtype.names or ()})


def _decoded(values: NDArray[Any]) -> NDArray[Any]:
    return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
