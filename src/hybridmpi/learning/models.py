"""Models of images by name: two small ones, torchvision's classifiers, and the user's own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from hybridmpi.errors import UserError
from hybridmpi.learning.imports import import_function
from hybridmpi.learning.names import MODELS, check_model
from hybridmpi.learning.settings import generators_kept, surroundings_kept

Shape = tuple[int, int, int]  # channels, height, width
Builder = Callable[[Shape, int], nn.Module]


@dataclass(frozen=True)
class ImageModel:
    """Makes a model of images by its name.

    Attributes:
        name: "mnist_cnn", "lenet", a torchvision classifier, or the user's own as
            "package.module:function", called as `function(input_shape, num_classes)`.
        input_shape: Channels, height and width of one sample.
        num_classes: The number of outputs.
    """

    name: str
    input_shape: Shape
    num_classes: int

    def __call__(self) -> nn.Module:
        """Return a new model, whose initial parameters are drawn from torch's generator.

        Raises:
            UserError: If there is no such model, or it can't be built.
        """
        what = f"model.name is '{self.name}', which"
        with generators_kept(), surroundings_kept(what):  # an import may seed torch's generator
            builder = _builder(self.name)
        return builder(self.input_shape, self.num_classes)


def _builder(name: str) -> Builder:
    """Return what builds models of this name."""
    if ":" in name:
        return partial(_build_own, name, import_function(name, "model.name"))
    return partial(_build_ours if name in _OURS else _build_from_torchvision, name)


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
