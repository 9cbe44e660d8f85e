"""Checkpoints: damaged bytes, and states that are well written but odd."""

import json
import shutil
import struct
from pathlib import Path
from random import Random
from typing import Any

import torch
from click.testing import CliRunner

from fuzzing.case import Case
from fuzzing.damage import damaged
from fuzzing.simulated import GRADIENTS, simulate, small_job
from hybridmpi.checkpoints.file import checkpoints_in, folder_of, read_state, write_state
from hybridmpi.cli import main
from hybridmpi.errors import RunFailed, UserError

_MORE = 12  # gradients after a run has gone on
_ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 3, 2**31, 2**63, 10**30, 10**400, 0.5, -0.5, 1e308, "x", "", [], {}),
    *([[]], [1, 2], {"1": 1}, float("nan"), float("inf"), float("-inf"), [[0] * 9] * 3),
)
_DTYPES = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)


class Checkpoints:
    """Checkpoints of simulated runs, resumed as users do it."""

    most_mib = 350

    def __init__(self, folder: Path) -> None:
        self._runs: list[tuple[bytes, Path]] = []
        for name, learning in (("learning", True), ("protocol", False)):
            checkpoint = {"every_steps": 7, "keep": 1}
            job = small_job(learning=learning, checkpoint=checkpoint)
            path = simulate(job, folder / name / "run.h5")
            self._runs.append((path.read_bytes(), checkpoints_in(folder_of(path))[-1]))

    def case(self, rng: Random, folder: Path) -> Case:
        run, original = self._runs[rng.random() < 0.7]
        (folder / "run.h5").write_bytes(run)
        path = folder_of(folder / "run.h5") / original.name
        shutil.copytree(original.parent, path.parent)
        way = rng.random()
        if way < 0.2:
            what, content = "bytes", damaged(rng, original.read_bytes(), range(4096))
            path.write_bytes(content)
        elif way < 0.35:
            what, content = _header(rng, original.read_bytes())
            path.write_bytes(content)
        else:
            state = read_state(original)
            what = _tensor(rng, state.tensors) if rng.random() < 0.35 else _fact(rng, state.facts)
            write_state(path, state)
        return Case(what, lambda: _resume(path))


def _resume(path: Path) -> None:
    limit = f"run.gradient_limit={GRADIENTS + _MORE}"
    result = CliRunner().invoke(main, ["simulate", "--resume", str(path), "--set", limit])
    error = result.exception
    if error is not None and not isinstance(error, SystemExit):
        raise error
    if result.exit_code == 1:
        raise RunFailed(result.output)
    if result.exit_code:
        raise UserError(result.output)


def _header(rng: Random, content: bytes) -> tuple[str, bytes]:
    """Change the JSON that says where tensors lie, or its length."""
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    what = rng.choice(("length", "text", "entry", "metadata"))
    text = json.dumps(header).encode()
    if what == "length":
        length = rng.choice((0, 1, 2**32, 2**63, 2**64 - 1, length - 1, length + 1, 10**8))
        return what, struct.pack("<Q", length) + text + data
    if what == "text":
        text = rng.choice((b"[" * 10**6, b"{}", b"null", b"", damaged(rng, text), b'{"a":' * 9999))
    elif what == "entry":
        entry = header[rng.choice([name for name in header if name != "__metadata__"])]
        entry[rng.choice(("dtype", "shape", "data_offsets", "x"))] = rng.choice(
            (
                "F64",
                "BF16",
                "F8_E4M3",
                "X",
                [2**62],
                [2**40, 2**40],
                [0, 2**62],
                [4, 0],
                [-1],
                7,
                None,
            )
        )
        text = json.dumps(header).encode()
    else:
        held: Any = rng.choice(
            ("[" * 50_000, "9" * 5000, "{}", '{"format": 1}', "", "\0", 7, None, {})
        )
        header["__metadata__"] = rng.choice(({"hybridmpi": held}, held, {}))
        text = json.dumps(header).encode()
    return what, struct.pack("<Q", len(text)) + text + data


def _tensor(rng: Random, tensors: dict[str, torch.Tensor]) -> str:
    """Change a tensor: leave it out, or give it other numbers, another shape, type or name."""
    if not tensors:
        tensors["parameters"] = torch.ones(3)
    name = rng.choice(list(tensors))
    held = tensors.pop(name)
    what = rng.choice(("nothing", "NaN", "shape", "dtype", "name", "huge"))
    match what:
        case "NaN":
            tensors[name] = (
                torch.full_like(held, float("nan")) if held.is_floating_point() else held
            )
        case "shape":
            shape = rng.choice(((), (0,), (1,), (3, 2), (held.numel() + 1,), (1, held.numel())))
            tensors[name] = torch.ones(shape)
        case "dtype":
            tensors[name] = held.to(rng.choice(_DTYPES))
        case "name":
            tensors[rng.choice(("x", "version.x", "version.-1", f"{name}.x", "", "snapshot.9"))] = (
                held
            )
        case "huge":
            tensors[name] = torch.full_like(held, 10**9) if held.is_floating_point() else -held
    return f"tensor {name}: {what}"


def _fact(rng: Random, facts: dict[str, Any]) -> str:
    """Change something in the facts, as deep as they go."""
    what = []
    for _ in range(rng.choice((1, 1, 1, 3))):
        tree: Any = facts
        names: list[str] = []
        while True:
            keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
            if not keys:
                break
            key = rng.choice([each for each in keys if each != "job" or rng.random() < 0.3] or keys)
            names.append(str(key))
            if isinstance(tree[key], (dict, list)) and tree[key] and rng.random() < 0.85:
                tree = tree[key]
                continue
            _change(rng, tree, key)
            break
        what.append(".".join(names))
    return f"facts {', '.join(what)}"


def _change(rng: Random, tree: Any, key: Any) -> None:
    held = tree[key]
    match rng.randrange(4):
        case 0:
            del tree[key]
        case 1 if isinstance(held, (int, float)):
            tree[key] = held + rng.choice((1, -1, 2, 1000, 10**9, -(10**9)))
        case 2 if isinstance(tree, list):
            tree.insert(key, held)
        case _:
            tree[key] = rng.choice(_ODD)
