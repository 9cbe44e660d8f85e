"""Models whose code changes global settings: when it is imported, called, and run."""

import os

import numpy as np
import torch
from nets_that_misbehave import Linear, Shape
from torch import Tensor, nn


def change_torch() -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.set_num_threads(3)
    torch.manual_seed(0)


def change_settings() -> None:
    change_torch()
    np.seterr(all="raise")
    os.chdir("/")


change_settings()


class Sets(Linear):
    def forward(self, inputs: Tensor) -> Tensor:
        output = super().forward(inputs) + torch.zeros(())
        change_torch()
        return output


def when_imported(shape: Shape, classes: int) -> nn.Module:
    return Linear(shape, classes)


def when_called(shape: Shape, classes: int) -> nn.Module:
    model = Linear(shape, classes)
    change_settings()
    return model


def when_run(shape: Shape, classes: int) -> nn.Module:
    return Sets(shape, classes)


def in_double(shape: Shape, classes: int) -> nn.Module:
    torch.set_default_dtype(torch.float64)
    return Linear(shape, classes)
