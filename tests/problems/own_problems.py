"""Problems that users bring."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset, IterableDataset

from hybridmpi import DatasetSamples, Metric, Problem

WORDS, LENGTH = 11, 6


class Bag(nn.Module):
    """A language model of the user's: a frozen embedding, masks, a tied and a sparse layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fixed = nn.Embedding(WORDS, 8)
        self.fixed.weight.requires_grad_(False)
        self.sparse = nn.Embedding(WORDS, 8, sparse=True)
        self.mix = nn.Linear(8, 8)
        self.mix_again = self.mix
        self.norm = nn.LayerNorm(8)
        self.out = nn.Linear(8, WORDS)
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        if self.training:
            self.batches += 1
        embedded = (self.fixed(tokens) + self.sparse(tokens)) * mask.unsqueeze(2)
        pooled = embedded.sum(1) / mask.sum(1, keepdim=True)
        return {"logits": self.out(self.norm(self.mix_again(self.mix(pooled).tanh())))}


def loss(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    logits = model(batch["tokens"], batch["mask"])["logits"]
    return functional.cross_entropy(logits, batch["next"])


def is_right(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    logits: Tensor = model(batch["tokens"], batch["mask"])["logits"]
    return logits.argmax(1) == batch["next"]


def weights(model: nn.Module) -> float:
    return sum(float(parameter.square().sum()) for parameter in model.parameters())


def sentences(count: int = 60) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(WORDS, (count, LENGTH), generator=generator)
    lengths = torch.randint(1, LENGTH + 1, (count, 1), generator=generator)
    return {
        "tokens": tokens,
        "mask": torch.arange(LENGTH) < lengths,
        "next": tokens.sum(1) % WORDS,
    }


def bag(**changes: Any) -> Problem:
    parts: dict[str, Any] = {
        "model": Bag,
        "training": sentences(),
        "test": sentences(15),
        "loss": loss,
        "metrics": {
            "accuracy": Metric(is_right, unit="fraction", higher_is_better=True),
            "weights": Metric(weights, per="model"),
        },
    }
    return Problem(**{**parts, **changes})


constant = bag()
not_a_problem = 3


def no_annotation():
    return bag()


def other() -> Problem:
    return 3  # type: ignore[return-value]


def raising() -> Problem:
    raise KeyError("no such file")


class Pairs(Dataset[tuple[int, int]]):
    """Numbers and their squares, with noise from a global generator."""

    def __init__(self, count: int, generator: str = "torch") -> None:
        self.count, self.generator = count, generator

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        noise = torch.rand(()).item() if self.generator == "torch" else np.random.random()
        x = number / self.count
        return torch.tensor([x, x * x]), torch.tensor([3 * x + 0.1 * noise])


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(10))


def squared(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.mse_loss(model(batch[0]), batch[1])


def line() -> nn.Module:
    return nn.Linear(2, 1)


def dataset(generator: str = "torch") -> Problem:
    return Problem(line, Pairs(60, generator), Pairs(20, generator), squared)


def collated() -> Problem:
    def collate(items: list[Any]) -> tuple[Tensor, Tensor]:
        return torch.stack([x for x, _ in items]), torch.stack([y for _, y in items])

    return Problem(line, DatasetSamples(Pairs(60), collate), DatasetSamples(Pairs(20)), squared)


def mapped(folder: str, on: str = "training", features: int = 2) -> Problem:
    def numbers() -> Any:
        inputs = np.load(f"{folder}/inputs.npy", mmap_mode="r")
        return inputs, np.load(f"{folder}/targets.npy", mmap_mode="r")

    tensors = (torch.zeros(8, features), torch.zeros(8, 1))
    training, test = (numbers, tensors) if on == "training" else (tensors, numbers)
    return Problem(lambda: nn.Linear(features, 1), training, test, squared)


def by_process() -> Problem:
    """Return a problem whose model depends on the process that makes it."""

    def model() -> nn.Module:
        made = line()
        with torch.no_grad():
            made.bias.fill_(os.getpid())
        return made

    tensors = (torch.zeros(8, 2), torch.zeros(8, 1))
    return Problem(model, tensors, tensors, squared)


def unseeded() -> nn.Module:
    model = line()
    with torch.no_grad():
        model.bias.fill_(int.from_bytes(os.urandom(2)) / 65536)
    return model


def freezing() -> nn.Module:
    return line().requires_grad_(False)


class Renormed(nn.Module):
    """A frozen embedding that its forward pass changes."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 2, max_norm=0.1)
        self.embedding.weight.requires_grad_(False)
        self.out = nn.Linear(2, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.out(self.embedding(inputs[:, 0].long()))
        return output


class Drawing(nn.Module):
    """Draws from a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator()
        self.generator.seed()
        self.out = nn.Linear(2, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        noise = torch.randn(inputs.shape, generator=self.generator)
        output: Tensor = self.out(inputs + noise)
        return output


THE_SAME = nn.Linear(2, 1)
# ruff: noqa: ARG005
FAULTS: dict[str, dict[str, Any]] = {
    "vector loss": {"loss": lambda m, b: (m(b[0]) - b[1]).square()},
    "loss of one": {"loss": lambda m, b: squared(m, b).view(1)},
    "float loss": {"loss": lambda m, b: squared(m, b).item()},
    "integer loss": {"loss": lambda m, b: squared(m, b).long()},
    "no graph": {"loss": lambda m, b: squared(m, b).detach()},
    "failing loss": {"loss": lambda m, b: m(b["x"])},
    "no loss": {"loss": 3},
    "model made": {"model": nn.Linear(2, 1)},
    "no model": {"model": lambda: 3},
    "one model": {"model": lambda: THE_SAME},
    "unseeded": {"model": unseeded},
    "frozen": {"model": freezing},
    "renormed": {"model": Renormed},
    "uneven": {"training": (torch.zeros(8, 2), torch.zeros(7, 1))},
    "list of samples": {"training": [(torch.zeros(2), torch.zeros(1))] * 8},
    "iterable": {"training": Stream()},
    "generator": {"training": (number for number in range(3))},
    "nothing": {"training": None},
    "empty": {"training": (torch.zeros(0, 2), torch.zeros(0, 1))},
    "words": {"training": DatasetSamples(["a"] * 8)},
    "wrong collate": {"training": DatasetSamples(Pairs(8), lambda items: torch.zeros(5))},
    "metric of a batch": {"metrics": {"error": Metric(squared)}},
    "metric per output": {"metrics": {"error": Metric(lambda m, b: m(b[0]))}},
    "missing metric": {"metrics": {"error": Metric(lambda m, b: {"other": b[1][:, 0]})}},
    "vector of a model": {"metrics": {"norm": Metric(lambda m: m.weight, per="model")}},
    "no metric": {"metrics": {"error": squared}},
    "metric's name": {"metrics": {"mean error": Metric(squared)}},
}


def faulty(what: str) -> Problem:
    tensors = (torch.zeros(8, 2), torch.zeros(8, 1))
    parts: dict[str, Any] = {"model": line, "training": tensors, "test": tensors, "loss": squared}
    return Problem(**{**parts, **FAULTS[what]})


def drawing() -> Problem:
    return Problem(Drawing, Pairs(60), Pairs(20), squared)
