"""Models by name: two small ones, torchvision's classifiers, and the user's own."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from hybridmpi.core.randomness import torch_seed
from hybridmpi.errors import UserError
from hybridmpi.learning.flat import Layout
from hybridmpi.learning.imports import import_function
from hybridmpi.learning.names import MODELS, check_model

Shape = tuple[int, int, int]  # channels, height, width


def build_model(name: str, *, input_shape: Shape, num_classes: int, seed: int) -> nn.Module:
    """Build a classifier whose initial parameters depend on the seed alone.

    Args:
        name: "mnist_cnn", "lenet", a torchvision classifier, or the user's own as
            "package.module:function", called as `function(input_shape, num_classes)`.
        input_shape: Channels, height and width of one sample.
        num_classes: The number of outputs.
        seed: The run's seed.

    Raises:
        UserError: If there is no such model, it can't be built, or it doesn't turn inputs of that
            shape into outputs of shape [batch, num_classes].
    """
    # devices=[]: the accelerators' generators aren't used, so they needn't be set back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "initial parameters"))
        model = _build(name, input_shape, num_classes)
        _check_parameters(name, model)
        _check_output(name, model.float(), input_shape, num_classes)
    return model


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


def _build(name: str, input_shape: Shape, num_classes: int) -> nn.Module:
    if ":" in name:
        return _build_own(name, input_shape, num_classes)
    if name in _OURS:
        if min(input_shape[1:]) < 8:
            raise UserError(
                f"model.name is '{name}', which takes images of at least 8 x 8, but the data's "
                f"are {input_shape[1]} x {input_shape[2]}; scale them up or give your own model"
            )
        return _OURS[name](input_shape, num_classes)
    return _build_from_torchvision(name, num_classes)


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


_OURS: dict[str, Callable[[Shape, int], nn.Module]] = dict(
    zip(MODELS, (_mnist_cnn, _lenet), strict=True)
)


def _build_from_torchvision(name: str, num_classes: int) -> nn.Module:
    from torchvision import models

    check_model(name)
    model: nn.Module = models.get_model(name, weights=None, num_classes=num_classes)
    return model


def _build_own(path: str, input_shape: Shape, num_classes: int) -> nn.Module:
    function = import_function(path, "model.name")
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


def _check_parameters(name: str, model: nn.Module) -> None:
    parameters = dict(model.named_parameters())
    if not parameters:
        raise UserError(
            f"model.name is '{name}', but that model has no parameters; assign its layers to "
            "attributes of the module, lists of layers as torch.nn.ModuleList"
        )
    for key, parameter in parameters.items():
        if isinstance(parameter, UninitializedParameter):
            raise UserError(
                f"model.name is '{name}', but its parameter '{key}' has no shape yet; call the "
                "model once before returning it, or use layers that aren't lazy"
            )
        if not parameter.requires_grad:
            raise UserError(
                f"model.name is '{name}', but its parameter '{key}' is frozen "
                "(requires_grad=False); make it a buffer with register_buffer"
            )


def _check_output(name: str, model: nn.Module, input_shape: Shape, num_classes: int) -> None:
    """Try two samples in training mode, on copies of the buffers, which that would change."""
    buffers = {key: buffer.clone() for key, buffer in model.named_buffers()}
    samples = torch.zeros(2, *input_shape)
    try:
        with torch.no_grad():
            output: Any = torch.func.functional_call(model.train(), buffers, (samples,))
    except Exception as error:  # models refuse inputs in many ways
        raise UserError(
            f"model.name is '{name}', which can't take inputs of shape {list(samples.shape)} "
            f"({type(error).__name__}: {error}); take another model, or data of the shape that "
            "this one expects"
        ) from error
    if not isinstance(output, Tensor):
        raise UserError(
            f"model.name is '{name}', whose output in training is {type(output).__name__}, but "
            f"must be one tensor of shape [batch, {num_classes}]; wrap it in a model of your own"
        )
    if output.shape != (2, num_classes):
        raise UserError(
            f"model.name is '{name}', whose output for inputs of shape {list(samples.shape)} has "
            f"shape {list(output.shape)}, but must have [2, {num_classes}]: one number per class"
        )


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
