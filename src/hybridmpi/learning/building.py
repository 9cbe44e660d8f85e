"""A problem's model, built and tried: its initial parameters depend on the seed alone."""

import zlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from hybridmpi.core.randomness import torch_seed
from hybridmpi.errors import UserError
from hybridmpi.learning.flat import Layout, is_frozen
from hybridmpi.learning.known_modules import has_own_code
from hybridmpi.learning.model_tensors import check_tensors
from hybridmpi.learning.nests import map_leaves
from hybridmpi.learning.problem import Batch, Problem
from hybridmpi.learning.settings import (
    generators_kept,
    keep_torch_settings,
    surroundings_kept,
    torch_settings_kept,
)
from hybridmpi.learning.trial import Trial, buffers_kept

_CPU = torch.device("cpu")


def build(
    problem: Problem,
    examples: Batch,
    *,
    seed: int,
    device: torch.device = _CPU,
    precision: Literal["float32", "bfloat16"] = "float32",
    examine: Callable[[nn.Module, Batch], None] = lambda *_: None,
) -> nn.Module:
    """Build a problem's model, and try the problem on it.

    The trial leaves no trace on the model: if code of the user's is to run, the model is built
    twice, and the first of the two is tried. Nor does it on the generators of torch, numpy and
    Python.

    Args:
        problem: The problem.
        examples: Some samples as a model is given them, at least one.
        seed: The run's seed.
        device: Where it is to compute; the model is moved there.
        precision: The job's `model.precision`.
        examine: Given the model that has been tried and the samples, it may try more, where it
            leaves no trace.

    Raises:
        UserError: If the model can't be built, has other parameters each time, or the problem can't
            be learned with it.
    """

    def make() -> nn.Module:
        torch.manual_seed(torch_seed(seed, "initial parameters"))
        with surroundings_kept(f"{problem.subject}, which"):
            model = _made(problem)
        check_tensors(problem.subject, model)
        return model.float().to(device).train()

    there = map_leaves(lambda leaf: leaf.to(device), examples)
    with torch.random.fork_rng(devices=[]):  # accelerators' generators aren't used for this
        model = make()
        with generators_kept(), ExitStack() as stack:
            tried = model
            if has_own_code(model, *problem.functions()):
                tried = _made_again(problem.subject, model, make)
            else:
                stack.enter_context(buffers_kept(model))
            end = keep_torch_settings(tried)
            Trial(problem, tried, there, precision=precision).run()
            end()
            with torch_settings_kept():
                examine(tried, there)
    return model.train()


def fingerprints(model: nn.Module) -> dict[str, int]:
    """Return a checksum of each parameter and persistent buffer, frozen ones included."""
    tensors = {**dict(model.named_parameters()), **model.state_dict(keep_vars=True)}
    return {
        name: checksum(tensor)
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor) and tensor.numel()
    }


def checksum(tensor: Tensor, begun: int = 0) -> int:
    """Return a checksum of a tensor's content; `begun` is that of what comes before it."""
    content = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
    return zlib.crc32(content.numpy().data, begun)


def drawn_without_seed(subject: str, name: str) -> UserError:
    """Say that a parameter has other values each time the model is made."""
    return UserError(
        f"{subject}, but the initial values of '{name}' differ each time its model is made, so "
        "that workers would not compute on the same model; draw them from torch's global "
        "generator when the model is made, which is seeded then, or with a fixed seed"
    )


def load_initial(model: nn.Module, path: str | Path) -> None:
    """Set a model's parameters and buffers to those of a safetensors file.

    Frozen parameters may be in the file, or keep the values that they were made with.

    Raises:
        UserError: If the file can't be read, or doesn't hold exactly this model's tensors.
    """
    given = _read_safetensors(path)
    wanted = {entry.name: entry.shape for entry in Layout.of(model).entries}
    frozen = {name: tuple(p.shape) for name, p in model.named_parameters() if is_frozen(p)}
    wanted |= {name: shape for name, shape in frozen.items() if name in given}
    reshaped = {
        f"{name} ({list(given[name].shape)} instead of {list(wanted[name])})"
        for name in given.keys() & wanted.keys()
        if given[name].shape != wanted[name]
    }
    differences = (
        _listed("lacks", wanted.keys() - given.keys()),
        _listed("has, but the model hasn't,", given.keys() - wanted.keys()),
        _listed("has with other shapes", reshaped),
    )
    if any(differences):
        raise UserError(
            f"model.initial is '{path}', which doesn't fit the model: it "
            + "; it ".join(filter(None, differences))
            + "; take a file that was saved from the same model, input shape and classes"
        )
    model.load_state_dict(given, strict=False)  # not strict: shared parameters have one name


def _made(problem: Problem) -> nn.Module:
    try:
        model = problem.model()
    except UserError:
        raise
    except Exception as error:  # whatever the user's function raises is the user's to mend
        raise UserError(
            f"{problem.subject}, but making its model raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise UserError(
            f"{problem.subject}, but making its model returned {type(model).__name__}; return a "
            "torch.nn.Module"
        )
    return model


def _made_again(subject: str, model: nn.Module, make: Callable[[], nn.Module]) -> nn.Module:
    """Make a model once more, and make sure that nothing of it is the first one's."""
    other = make()
    of_first = {id(parameter) for parameter in model.parameters()}
    if any(id(parameter) in of_first for parameter in other.parameters()):
        raise UserError(
            f"{subject}, but that function returns the same parameters each time; "
            "make the model inside the function, new in each call"
        )
    again = fingerprints(other)
    for name, checksum in fingerprints(model).items():
        if again.get(name) != checksum:
            raise drawn_without_seed(subject, name)
    return other


def _read_safetensors(path: str | Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(
            f"model.initial is '{path}', which can't be read ({error}); give a .safetensors file"
        ) from error
    return tensors


def _listed(what: str, names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{what} {', '.join(names[:5])}{more}" if names else ""
