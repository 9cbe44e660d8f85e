"""Models that fail in one of the ways in which they are used, and some that only look so."""

import random

import numpy as np
import torch
from torch import Tensor, nn

Shape = tuple[int, int, int]


class Linear(nn.Module):
    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        self.line = nn.Linear(shape[0] * shape[1] * shape[2], classes)

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.line(inputs.flatten(1))
        return output if self.training else self.in_evaluation(output)

    def in_evaluation(self, output: Tensor) -> Tensor:
        return output


class GivesTwo(Linear):
    def in_evaluation(self, output):
        return output, output


class GivesDict(Linear):
    def in_evaluation(self, output):
        return {"logits": output}


class Raises(Linear):
    def in_evaluation(self, _output):
        raise KeyError("no such head")


class Decides(Linear):
    def in_evaluation(self, output):
        return output.argmax(1)


class DecidesForEachClass(Linear):
    def in_evaluation(self, output):
        return (output > 0).long()


class Averages(Linear):
    def in_evaluation(self, output):
        return output.mean(0, keepdim=True)


class DropsSingleBatch(Linear):
    def in_evaluation(self, output):
        return output.squeeze()


class IsNaN(Linear):
    def in_evaluation(self, output):
        return output * torch.nan


class Detaches(Linear):
    def forward(self, inputs):
        return super().forward(inputs).detach()


class CountsBySamples(Linear):
    def forward(self, inputs):
        return super().forward(inputs.reshape(2, -1, *inputs.shape[2:]))


class MakesNumber(Linear):
    def forward(self, inputs):
        return super().forward(inputs).sum().item()


class GivesIntegers(Linear):
    def forward(self, inputs):
        return super().forward(inputs).round().long()


class WritesWhatBackwardNeeds(Linear):
    def forward(self, inputs):
        output = super().forward(inputs).exp()
        output += 1
        return output


class Replaces(Linear):
    def forward(self, inputs):
        self.line.weight = nn.Parameter(self.line.weight.detach().clone())
        return super().forward(inputs)


class Freezes(Linear):
    def forward(self, inputs):
        self.line.bias.requires_grad_(False)
        return super().forward(inputs)


class SharesMemory(Linear):
    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.other = nn.Linear(self.line.in_features, classes)
        self.other.weight.data = self.line.weight.data


class KeepsAnAlias(Linear):
    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.register_buffer("initial", self.line.weight.data)


class HoldsLargeIntegers(Linear):
    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.register_buffer("prime", torch.tensor(1_000_000_007))


_ONLY = Linear((1, 8, 8), 10)


def the_same(_shape: Shape, _classes: int) -> nn.Module:
    return _ONLY


def without_values(shape: Shape, classes: int) -> nn.Module:
    return Linear(shape, classes).to("meta")


@torch.inference_mode()
def of_inference(shape: Shape, classes: int) -> nn.Module:
    return Linear(shape, classes)


class Counts(Linear):
    """Counts its calls, draws from all generators, and keeps what it has seen; all is well."""

    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.calls, self.seen = 0, []
        self.register_buffer("batches", torch.tensor(0))

    def forward(self, inputs):
        self.calls += 1
        self.seen.append(len(inputs))
        self.batches += 1
        random.random()
        np.random.random()
        return super().forward(inputs) + 0 * torch.rand(())


class Hooked(Linear):
    """Takes what a hook has kept, which refers to this very object."""

    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.kept = {}
        self.line.register_forward_hook(lambda _m, _i, output: self.kept.update(output=output))
        self.cannot_be_copied = (number for number in range(3))

    def forward(self, inputs):
        self.line(inputs.flatten(1))
        return self.kept.pop("output")


class NormalisesInPlace(Linear):
    def forward(self, inputs):
        inputs -= 0.3
        inputs /= 0.4
        return super().forward(inputs)


class Causal(Linear):
    """Persistent buffers of all kinds; one holds -inf, one NaN, one becomes infinite."""

    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.register_buffer("mask", torch.full((8, 8), -torch.inf).triu(1))
        self.register_buffer("unknown", torch.full((3,), torch.nan))
        self.register_buffer("grows", torch.tensor(1e30))
        self.register_buffer("is_seen", torch.tensor([True, False]))
        self.register_buffer("calls", torch.tensor(0, dtype=torch.int32))

    def forward(self, inputs):
        if self.training:
            self.grows *= 1e5
            self.calls += 1
        return super().forward(inputs)
