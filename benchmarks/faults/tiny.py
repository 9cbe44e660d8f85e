"""A model whose gradient takes a fraction of a millisecond."""

from torch import nn


def linear(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Return one linear layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))
