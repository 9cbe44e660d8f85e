"""Models by name: two small ones, torchvision's classifiers, and the user's own."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hybridmpi.core.randomness import torch_seed
from hybridmpi.errors import UserError
from hybridmpi.learning.flat import Layout
from hybridmpi.learning.imports import import_function
from hybridmpi.learning.known_modules import has_own_code
from hybridmpi.learning.model_tensors import check_tensors
from hybridmpi.learning.names import MODELS, check_model
from hybridmpi.learning.settings import generators_kept, surroundings_kept, torch_settings_kept
from hybridmpi.learning.trial import Trial, buffers_kept

Shape = tuple[int, int, int]  # channels, height, width
Builder = Callable[[Shape, int], nn.Module]

_CPU = torch.device("cpu")


def build_model(
    name: str,
    *,
    input_shape: Shape,
    num_classes: int,
    seed: int,
    device: torch.device = _CPU,
    precision: Literal["float32", "bfloat16"] = "float32",
    samples: Tensor | None = None,
    examine: Callable[[nn.Module], None] = lambda _: None,
) -> nn.Module:
    """Build a classifier whose initial parameters depend on the seed alone, and try it.

    The trial leaves no trace on the model: one of the user's own is built twice, and the first of
    the two is tried. Nor does it on the generators of torch, numpy and Python.

    Args:
        name: "mnist_cnn", "lenet", a torchvision classifier, or the user's own as
            "package.module:function", called as `function(input_shape, num_classes)`.
        input_shape: Channels, height and width of one sample.
        num_classes: The number of outputs.
        seed: The run's seed.
        device: Where it is to compute; the model is moved there.
        precision: The job's `model.precision`.
        samples: Some of the data set's, as a model is given them: float32, [samples, *input_shape];
            zeros if not given.
        examine: Given the model that has been tried, it may try more, where it leaves no trace.

    Raises:
        UserError: If there is no such model, it can't be built, or it doesn't turn inputs of that
            shape into outputs of shape [batch, num_classes], in training and in evaluation.
    """
    with surroundings_kept(f"model.name is '{name}', which"):
        builder = _builder(name)  # imports the user's module, which may seed torch's generator

    def build() -> nn.Module:
        torch.manual_seed(torch_seed(seed, "initial parameters"))
        with surroundings_kept(f"model.name is '{name}', which"):
            model = builder(input_shape, num_classes)
        check_tensors(name, model)
        return model.float().to(device).train()

    inputs = torch.zeros(1, *input_shape, dtype=torch.float32) if samples is None else samples
    with torch.random.fork_rng(devices=[]):  # accelerators' generators aren't used for this
        model = build()
        with generators_kept(), ExitStack() as stack:
            tried = model
            if has_own_code(model):
                tried = _built_again(name, model, build)
            else:
                stack.enter_context(buffers_kept(model))
            Trial(
                name,
                tried,
                inputs.to(device),
                num_classes,
                is_real=samples is not None and bool(samples.isfinite().all()),
                precision=precision,
            ).run()
            with torch_settings_kept():
                examine(tried)
    return model.train()


def load_initial(model: nn.Module, path: str | Path) -> None:
    """Set a model's parameters and buffers to those of a safetensors file.

    Raises:
        UserError: If the file can't be read, or doesn't hold exactly this model's tensors.
    """
    given = _read_safetensors(path)
    wanted = {entry.name: entry.shape for entry in Layout.of(model).entries}
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


def _builder(name: str) -> Builder:
    """Return what builds models of this name."""
    if ":" in name:
        return partial(_build_own, name, import_function(name, "model.name"))
    return partial(_build_ours if name in _OURS else _build_from_torchvision, name)


def _built_again(name: str, model: nn.Module, build: Callable[[], nn.Module]) -> nn.Module:
    """Build a model once more, and make sure that nothing of it is the first one's."""
    other = build()
    of_first = {id(parameter) for parameter in model.parameters()}
    if any(id(parameter) in of_first for parameter in other.parameters()):
        raise UserError(
            f"model.name is '{name}', but that function returns the same parameters each time; "
            "make the model inside the function, new in each call"
        )
    return other


def _build_ours(name: str, input_shape: Shape, num_classes: int) -> nn.Module:
    if min(input_shape[1:]) < 8:
        raise UserError(
            f"model.name is '{name}', which takes images of at least 8 x 8, but the data's "
            f"are {input_shape[1]} x {input_shape[2]}; scale them up or give your own model"
        )
    return _OURS[name](input_shape, num_classes)


def _mnist_cnn(input_shape: Shape, num_classes: int) -> nn.Module:
    """Two convolutions and two dense layers: 1.2 M parameters on 1 x 28 x 28 with 10 classes.

    In channels-last order, in which it is faster (see docs/performance.md).
    """
    channels, height, width = input_shape
    model = nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (height // 4) * (width // 4), 384),
        nn.ReLU(),
        nn.Linear(384, num_classes),
    )
    return model.to(memory_format=torch.channels_last)


def _lenet(input_shape: Shape, num_classes: int) -> nn.Module:
    """LeNet-5 as in PyTorch's CIFAR-10 tutorial: 62 k parameters on 3 x 32 x 32, 10 classes.

    Smaller images get a frame of zeros that makes them 32 x 32, as MNIST's had in LeCun et al.,
    "Gradient-based learning applied to document recognition", 1998, section II.B.
    """
    channels, *sides = input_shape
    height, width = (max(side, 32) for side in sides)
    top, left = (height - sides[0]) // 2, (width - sides[1]) // 2
    return nn.Sequential(
        nn.ZeroPad2d((left, width - sides[1] - left, top, height - sides[0] - top)),
        nn.Conv2d(channels, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * (((height - 4) // 2 - 4) // 2) * (((width - 4) // 2 - 4) // 2), 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, num_classes),
    )


_OURS: dict[str, Builder] = dict(zip(MODELS, (_mnist_cnn, _lenet), strict=True))


def _build_from_torchvision(name: str, input_shape: Shape, num_classes: int) -> nn.Module:
    from torchvision import models

    del input_shape  # these take any that is large enough
    check_model(name)
    model: nn.Module = models.get_model(name, weights=None, num_classes=num_classes)
    return model


def _build_own(
    path: str, function: Callable[..., Any], input_shape: Shape, num_classes: int
) -> nn.Module:
    call = f"{path.rpartition(':')[2]}(input_shape={input_shape}, num_classes={num_classes})"
    try:
        model = function(input_shape, num_classes)
    except Exception as error:  # whatever the user's function raises is the user's to mend
        raise UserError(
            f"model.name is '{path}', but {call} raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise UserError(
            f"model.name is '{path}', but {call} returned {type(model).__name__}; "
            "return a torch.nn.Module"
        )
    return model


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
