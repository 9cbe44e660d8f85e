"""Run files that are made to be hostile: nothing but the file itself is read, and little memory."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hybridmpi import read_run
from hybridmpi.errors import UserError
from hybridmpi.runlog.attributes import read_attributes


def replaced(file: Any, name: str, **made: Any) -> None:
    dtype, attributes = file[name].dtype, dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, **({"dtype": dtype} | made))
    file[name].attrs.update(attributes)


def external_link(file: Any, other: Path) -> None:
    del file["gradients"]
    file["gradients"] = h5py.ExternalLink(str(other), "/gradients")


def external_link_to_the_final_parameters(file: Any, other: Path) -> None:
    del file["final"]
    file["final"] = h5py.ExternalLink(str(other), "/final")


def external_link_to_snapshots(file: Any, other: Path) -> None:
    file["snapshots"] = h5py.ExternalLink(str(other), "/")


def soft_link(file: Any, _: Path) -> None:
    del file["steps"]
    file["steps"] = h5py.SoftLink("/steps")


def external_storage(file: Any, other: Path) -> None:
    replaced(file, "final", shape=(7,), external=[(str(other), 0, 28)])


def virtual(file: Any, other: Path) -> None:
    layout = h5py.VirtualLayout((7,), np.float32)
    layout[:] = h5py.VirtualSource(str(other), "/final", (7,), np.float32)
    del file["final"]
    file.create_virtual_dataset("final", layout)
    file["final"].attrs["version"] = 2


def compressed(file: Any, _: Path) -> None:
    rows = np.zeros(100_000, file["gradients"].dtype)
    replaced(file, "gradients", data=rows, chunks=True, compression="gzip")


def huge(file: Any, _: Path) -> None:
    replaced(file, "gradients", shape=(2**40,), maxshape=(None,), chunks=(64,))


def other_columns(file: Any, _: Path) -> None:
    replaced(
        file,
        "steps",
        shape=(2,),
        dtype=np.dtype([("time_s", "f8"), ("version", h5py.string_dtype())]),
    )


def objects(file: Any, _: Path) -> None:
    replaced(file, "workers", shape=(2,), dtype=h5py.ref_dtype)


def group(file: Any, _: Path) -> None:
    del file["events"]
    file["events"] = file["/"]


def nothing(file: Any, _: Path) -> None:
    del file["evaluations"]


def many_attributes(file: Any, _: Path) -> None:
    for number in range(200):
        file.attrs[f"attribute {number}"] = "x"


def long_text(file: Any, _: Path) -> None:
    file.attrs["config"] = json.dumps({"run": {"seed": "x" * 2**22}})


def array_of_text(file: Any, _: Path) -> None:
    file.attrs["engine"] = ["simulate", "mpi"]


def text_that_is_none(file: Any, _: Path) -> None:
    file.attrs.create("engine", b"\xff\xfe", dtype=h5py.string_dtype())


def deep_config(file: Any, _: Path) -> None:
    file.attrs["config"] = '{"a":' * 500 + "1" + "}" * 500


def config_that_is_no_table(file: Any, _: Path) -> None:
    file.attrs["config"] = "[1]"


HOSTILE = (
    *(external_link, external_link_to_the_final_parameters, external_link_to_snapshots, soft_link),
    *(external_storage, virtual, compressed, huge, other_columns, objects, group, nothing),
    *(many_attributes, long_text, array_of_text, text_that_is_none, deep_config),
    config_that_is_no_table,
)


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_hostile_file_is_refused(small_run: Path, change: Callable[[Any, Path], None]) -> None:
    other = small_run.with_name("other.h5")
    other.write_bytes(small_run.read_bytes())
    with h5py.File(small_run, "r+", libver="latest") as file:
        del file.attrs["content_sha256"]
        change(file, other)
    with pytest.raises(UserError, match="is damaged"):
        read_run(small_run)


def test_missing_attribute_is_told_when_it_is_asked_for(small_run: Path) -> None:
    attributes = read_run(small_run).attributes
    with pytest.raises(UserError, match=r"run\.h5' lacks the attribute 'num_workers'"):
        attributes["num_workers"]
    assert attributes.get("num_workers") is None
    with pytest.raises(UserError, match="the attribute torch_version is no table in JSON"):
        attributes.table("torch_version")
    assert read_attributes(small_run)["status"] == "complete"
