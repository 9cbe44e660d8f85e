"""Reading a run file."""

from pathlib import Path

import numpy as np

from hybridmpi.core.metrics import Metric
from hybridmpi.runlog.attributes import Attributes, json_table
from hybridmpi.runlog.frames import frame_of
from hybridmpi.runlog.plausible import check
from hybridmpi.runlog.reading.damage import damage_told
from hybridmpi.runlog.reading.process import read
from hybridmpi.runlog.run import Run
from hybridmpi.runlog.schema import SNAPSHOTS, tables_with


def read_run(path: str | Path) -> Run:
    """Read a run file: of a run that ended, that goes on, or whose process was killed.

    Nothing in it is executed or looked up in other files, and reading it takes memory in proportion
    to its length, whoever made it.

    Raises:
        UserError: If the file is not there, is no run file, or is damaged.
    """
    path = Path(path)
    values, arrays = read("content", path)
    with damage_told(path):
        attributes = Attributes.of(path, values["attributes"])
        metrics = tuple(Metric(**metric) for metric in values["metrics"])
        run = Run(
            path=path,
            status=attributes.pop("status"),
            config=json_table(attributes.pop("config"), "its config"),
            layout=json_table(attributes.pop("layout"), "its layout"),
            attributes=attributes,
            metrics=metrics,
            **{
                table.name: frame_of(path, table, arrays[table.name])
                for table in tables_with(metrics)
            },
            snapshots=frame_of(
                path, SNAPSHOTS, arrays.get(SNAPSHOTS.name, np.empty(0, SNAPSHOTS.dtype))
            ),
            final=arrays["final"] if values["final_version"] >= 0 else None,
            final_version=values["final_version"],
        )
        check(run)
    return run
