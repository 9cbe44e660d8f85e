"""Models of the experiments in this folder: from a convex problem to a residual network.

Named in a job as `jobs.paper.models:residual`, from the project's root.
"""

from torch import Tensor, nn

Shape = tuple[int, int, int]


def softmax_regression(input_shape: Shape, num_classes: int) -> nn.Module:
    """Multinomial logistic regression: its loss is convex in the parameters."""
    return nn.Sequential(nn.Flatten(), nn.Linear(_size(input_shape), num_classes))


def perceptron(input_shape: Shape, num_classes: int) -> nn.Module:
    """One hidden layer of 128 ReLU units."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(_size(input_shape), 128),
        nn.ReLU(),
        nn.Linear(128, num_classes),
    )


def residual(input_shape: Shape, num_classes: int) -> nn.Module:
    """A residual network of 20 layers, 8 to 32 channels wide, with GroupNorm.

    As ResNet-20 of He et al., arXiv 1512.03385, section 4.2, at half its width, with a first
    convolution of stride 2 and GroupNorm (Wu and He, arXiv 1803.08494) in place of BatchNorm, whose
    running statistics would make parameters of another kind.
    """
    blocks = [
        _Block(before, after, stride)
        for before, after, stride in (
            *((8, 8, 1),) * 3,
            (8, 16, 2),
            *((16, 16, 1),) * 2,
            (16, 32, 2),
            *((32, 32, 1),) * 2,
        )
    ]
    return nn.Sequential(
        nn.Conv2d(input_shape[0], 8, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(4, 8),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, num_classes),
    )


class _Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
            nn.GroupNorm(4, after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.GroupNorm(4, after),
        )
        self.shortcut = (
            nn.Identity()
            if before == after
            else nn.Conv2d(before, after, 1, stride=stride, bias=False)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = (self.body(inputs) + self.shortcut(inputs)).relu()
        return outputs


def _size(shape: Shape) -> int:
    channels, height, width = shape
    return channels * height * width
