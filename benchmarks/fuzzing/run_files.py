"""Run files: damaged bytes, metadata with the right checksums, and files made to be hostile."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
from click.testing import CliRunner

from fuzzing.case import Case
from fuzzing.damage import damaged
from fuzzing.hdf5_blocks import blocks, sealed
from fuzzing.simulated import simulate, small_job
from hybridmpi import read_run
from hybridmpi.cli import main
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.runlog.schema import LOGS, WORKERS

_TABLES = [table.name for table in (*LOGS, WORKERS)]
_DATASETS = [*_TABLES, "final", "snapshots/versions", "snapshots/parameters"]
_HUGE = (2**33, 2**40, 2**62)
_JSON = (
    *("", "{}", "[]", "null", "7", "[" * 900 + "]" * 900, "[" * 99_999),
    *('{"a":' * 500 + "1" + "}" * 500, '{"a":' * 30 + "1" + "}" * 30),
    *("9" * 5000, "NaN", '{"run": 3}', '{"run": {"seed": {}}}', '{"method": {"preset": ["a"]}}'),
    *('{"data": {"dataset": "os:system", "root": "x"}}', '"text"', '{"a": 1, "a": {"b": 2}}'),
)  # fmt: skip
_ODD_NUMBERS = (
    *(0, -1, 1, 2, 5, 2**31 - 1, -(2**31), 2**62, -(2**62), 1e308, -1e308, 1e-308),
    *(float("nan"), float("inf"), float("-inf"), 0.5, -0.0),
)


class RunFiles:
    """Run files: of a run that has learned, and of one without learning, complete and killed."""

    most_mib = 350

    def __init__(self, folder: Path) -> None:
        whole = simulate(
            small_job(learning=True, run={"gradient_limit": 24, "keep_snapshots": True}),
            folder / "whole.h5",
        )
        protocol = simulate(small_job(learning=False), folder / "protocol.h5")
        self._originals = [(path.read_bytes(), _blocks(path)) for path in (whole, protocol)]
        killed = bytearray(self._originals[1][0])
        killed[11] = 5  # open for writing in SWMR mode
        self._originals.append((sealed(bytes(killed), (0, 48)), self._originals[1][1]))
        self._secret = folder / "secret.h5"
        shutil.copyfile(protocol, self._secret)

    def case(self, rng: Random, folder: Path) -> Case:
        path = folder / "run.h5"
        content, found = rng.choice(self._originals)
        way = rng.random()
        what, must_be_refused = "bytes", False
        if way < 0.2:
            places = [at for begin, end in found for at in range(begin, end)]
            content = damaged(rng, content, places)
        elif way < 0.5:
            what, content = _believed(rng, content, found)
        path.write_bytes(content)
        if way >= 0.5:
            what, must_be_refused = self._rebuilt(rng, path)
        return Case(what, lambda: _use(path, rng), must_be_refused)

    def _rebuilt(self, rng: Random, path: Path) -> tuple[str, bool]:
        """Change a file with HDF5's own means; say how, and whether it must be noticed."""
        content = bytearray(path.read_bytes())
        content[11] = 0
        path.write_bytes(sealed(bytes(content), (0, 48)))
        change = rng.choice(_CHANGES)
        if rng.random() < 0.3:
            change = rng.choice(_VALUES)
        with h5py.File(path, "r+", libver="latest", locking=False) as file:
            if rng.random() < 0.9:
                file.attrs.pop("content_sha256", None)
            hides = change(rng, file, self._secret)
        return change.__name__.strip("_"), hides


def _use(path: Path, rng: Random) -> None:
    """Read a run file with all commands that do: the slow ones now and then.

    A refused one costs a process each time that it is read.
    """
    refused: UserError | None = None
    try:
        run = read_run(path)
    except UserError as error:
        refused = error
    out = str(path.parent / "out")
    commands = []
    if refused is None or rng.random() < 0.1:
        commands.append(["show", "--no-figure", str(path)])
    if rng.random() < (0.05 if refused is None else 0.002):
        commands += [
            ["show", str(path), "--out", f"{out}.png"],
            ["report", str(path), "--out", out],
            ["replay", str(path)],
            ["replay", str(path), "--set", "method.preset=async", "--force"],
            ["export", str(path), f"{out}.safetensors", "--force"],
            ["calibrate", str(path)],
        ]
    for command in commands:
        _command(command, refused is not None)
    if refused is not None:
        raise refused
    run.accounting()
    run.interval_mean("test_accuracy")
    for version in run.snapshots.version[:2]:
        run.snapshot(int(version))


def _command(arguments: list[str], is_refused: bool) -> None:
    result = CliRunner().invoke(main, arguments)
    error = result.exception
    if error is not None and not isinstance(error, (SystemExit, UserError, RunFailed)):
        raise error
    if is_refused and result.exit_code == 0:
        raise AssertionError(f"{arguments} reads what read_run refuses")


def _blocks(path: Path) -> list[tuple[int, int]]:
    """Return the blocks of a file; they are looked for once."""
    known = path.with_suffix(".blocks.json")
    if not known.exists():
        known.write_text(json.dumps(blocks(path.read_bytes())))
    return [(begin, end) for begin, end in json.loads(known.read_text())]


def _believed(rng: Random, content: bytes, found: list[tuple[int, int]]) -> tuple[str, bytes]:
    """Change blocks of metadata, and their checksums with them."""
    what = []
    for _ in range(rng.choice((1, 1, 2))):
        begin, end = rng.choice(found)
        block = damaged(rng, content[begin : end - 4])[: end - begin - 4]
        content = content[:begin] + block.ljust(end - begin - 4, b"\0") + content[end - 4 :]
        content = sealed(content, (begin, end))
        what.append(content[begin : begin + 4].decode(errors="replace"))
    return f"believed {' '.join(what)}", content


def _delete(rng: Random, file: Any, _: Path) -> bool:
    name = rng.choice([*_DATASETS, "snapshots"])
    if name in file:
        del file[name]
    return False


def _huge(rng: Random, file: Any, _: Path) -> bool:
    """Claim more rows than the file holds."""
    name = rng.choice(_DATASETS[:-1])
    dtype = file[name].dtype if name in file else np.dtype("f4")
    attributes = dict(file[name].attrs) if name in file else {}
    if name in file:
        del file[name]
    file.create_dataset(name, (rng.choice(_HUGE),), dtype, maxshape=(None,), chunks=(64,))
    file[name].attrs.update(attributes)
    file["final"].attrs["version"] = 3
    return True


def _bomb(rng: Random, file: Any, _: Path) -> bool:
    """Compress many rows into few bytes."""
    name = rng.choice(_DATASETS[:-1])
    if name not in file:
        return False
    dtype, attributes = file[name].dtype, dict(file[name].attrs)
    del file[name]
    rows = np.zeros(rng.choice((10, 10**5)), dtype)
    file.create_dataset(name, data=rows, chunks=True, compression=rng.choice(("gzip", "lzf")))
    file[name].attrs.update(attributes)
    return True


def _external_link(rng: Random, file: Any, secret: Path) -> bool:
    name = rng.choice(_TABLES)
    del file[name]
    file[name] = h5py.ExternalLink(str(secret), f"/{name}")
    return True


def _soft_link(rng: Random, file: Any, _: Path) -> bool:
    name = rng.choice([*_TABLES, "final"])
    del file[name]
    file[name] = h5py.SoftLink(rng.choice((f"/{name}", "/nowhere", "/workers", "/snapshots", "/")))
    return False


def _external_storage(rng: Random, file: Any, secret: Path) -> bool:
    name = rng.choice([*_TABLES, "final"])
    dtype, attributes = file[name].dtype, dict(file[name].attrs)
    del file[name]
    size = 4 * dtype.itemsize
    file.create_dataset(name, (4,), dtype, external=[(str(secret), 0, size)])
    file[name].attrs.update(attributes)
    return True


def _virtual(rng: Random, file: Any, secret: Path) -> bool:
    name = rng.choice([*_TABLES, "final"])
    dtype, attributes = file[name].dtype, dict(file[name].attrs)
    del file[name]
    layout = h5py.VirtualLayout((rng.choice((4, 2**40)),), dtype)
    layout[:4] = h5py.VirtualSource(str(secret), f"/{name}", (4,), dtype)
    file.create_virtual_dataset(name, layout)
    file[name].attrs.update(attributes)
    return True


def _other_type(rng: Random, file: Any, _: Path) -> bool:
    """Give a table, or one of its columns, another type."""
    name = rng.choice([*_TABLES, "final"])
    dtype, attributes, count = file[name].dtype, dict(file[name].attrs), len(file[name])
    del file[name]
    other: Any = rng.choice(
        (
            *(h5py.string_dtype(), h5py.vlen_dtype(np.int32), h5py.ref_dtype, h5py.regionref_dtype),
            *(np.dtype("V7"), np.dtype("S9"), np.dtype("f2"), np.dtype("c16"), np.dtype("i1")),
            *(h5py.enum_dtype({"a": 1}), np.dtype("u8"), np.dtype(("f8", (3,))), np.dtype(">f8")),
        )
    )
    if dtype.names and rng.random() < 0.7:
        changed = rng.choice(dtype.names)
        fields = [(n, other if n == changed else dtype[n]) for n in dtype.names]
        if rng.random() < 0.3:
            fields = [field for field in fields if field[0] != changed]
        other = np.dtype(fields)
    file.create_dataset(name, (count,), other)
    file[name].attrs.update(attributes)
    return False


def _other_shape(rng: Random, file: Any, _: Path) -> bool:
    name = rng.choice([*_TABLES, "final"])
    dtype, attributes = file[name].dtype, dict(file[name].attrs)
    del file[name]
    shape: Any = rng.choice(((), (0,), (1,), (3, 2), (2, 0), (100,), None))
    file.create_dataset(name, shape, dtype) if shape is not None else file.create_dataset(
        name, data=h5py.Empty(dtype)
    )
    file[name].attrs.update(attributes)
    return False


def _other_object(rng: Random, file: Any, _: Path) -> bool:
    name = rng.choice([*_DATASETS, "snapshots"])
    if name in file:
        del file[name]
    match rng.randrange(3):
        case 0:
            file.create_group(name)
        case 1:
            file[name] = np.dtype("f8")
        case _:
            file[name] = file["/"]  # a circle
    return False


def _attribute(rng: Random, file: Any, _: Path) -> bool:
    name = rng.choice([*file.attrs, "unknown"])
    held: Any = rng.choice(
        (
            *(rng.choice(_ODD_NUMBERS), np.float64(rng.choice(_ODD_NUMBERS)), "x", b"\xff\xfe", ""),
            *(
                np.arange(3),
                ["a", "b"],
                h5py.Empty("f4"),
                np.bytes_(b"\x1b[31m"),
                "[bold]",
                "$\\x$",
            ),
            *(True, "é" * 1000, np.zeros(1000, "S4"), "/nowhere", "[/x]"),
        )
    )
    target = file if rng.random() < 0.9 else file["final"]
    target.attrs.pop("version" if target != file else name, None)
    if rng.random() < 0.8:
        target.attrs["version" if target != file else name] = held
    return False


def _json_attribute(rng: Random, file: Any, _: Path) -> bool:
    name = rng.choice(("config", "layout", "library_versions", "hosts"))
    text = rng.choice(_JSON)
    if rng.random() < 0.6 and name in file.attrs:
        tree = json.loads(file.attrs[name])
        _replace_somewhere(rng, tree)
        text = json.dumps(tree)
    file.attrs[name] = text
    return False


def _many_attributes(rng: Random, file: Any, _: Path) -> bool:
    text = "x" * rng.choice((1, 10_000))
    for number in range(300):
        file.attrs[f"more {number}"] = text
    return False


def _value(rng: Random, file: Any, _: Path) -> bool:
    """Change numbers and text in a table."""
    name = rng.choice(_TABLES)
    rows = file[name][()]
    if not len(rows):
        return False
    for _number in range(rng.choice((1, 1, 5))):
        column = rng.choice(rows.dtype.names)
        held = _odd(rng, rows.dtype[column])
        rows[column][rng.randrange(len(rows)) if rng.random() < 0.7 else slice(None)] = held
    file[name][...] = rows
    return False


def _rows(rng: Random, file: Any, _: Path) -> bool:
    """Leave rows out, or repeat them."""
    name = rng.choice(_TABLES)
    rows = file[name][()]
    picked = (
        sorted(rng.choices(range(len(rows)), k=rng.randrange(len(rows) + 3))) if len(rows) else []
    )
    if rng.random() < 0.3:
        rng.shuffle(picked)
    file[name].resize(len(picked), axis=0)
    file[name][...] = rows[picked]
    return False


def _odd(rng: Random, dtype: Any) -> Any:
    if dtype.kind == "S":
        return rng.choice(
            (b"", b"lost", b"\xff" * 40, b"[/x]", b"\x1b[2J", b"$x", b"joined", b"a" * 300)
        )
    if dtype.kind == "b":
        return rng.random() < 0.5
    number = rng.choice(_ODD_NUMBERS)
    if dtype.kind == "f":
        return number
    if not math.isfinite(number):
        return 3
    limits = np.iinfo(dtype)
    return int(min(max(int(number), limits.min), limits.max))


def _replace_somewhere(rng: Random, tree: Any) -> None:
    """Put an odd value somewhere into what JSON holds."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(tree[key], (dict, list)) and tree[key] and rng.random() < 0.8:
            tree = tree[key]
            continue
        tree[key] = rng.choice(
            (None, -1, 0, 2**62, 10**400, 0.5, "x", "", [], {}, [[]], True, 1e308)
        )
        if rng.random() < 0.2:
            del tree[key]
        return


Change = Callable[[Random, Any, Path], bool]
_VALUES: tuple[Change, ...] = (_value, _rows, _attribute, _json_attribute)
_CHANGES: tuple[Change, ...] = (
    *(_delete, _huge, _bomb, _external_link, _soft_link, _external_storage, _virtual, _value),
    *(_other_type, _other_shape, _other_object, _attribute, _json_attribute, _many_attributes),
    *(_rows,),
)
