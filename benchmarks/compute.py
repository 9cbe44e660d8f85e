"""Gradients per second of one worker's inner loop, in the forms that torch offers.

The yardstick is the form that workers use, on vectors and in the model's own order of memory; the
others are the same model in a class of the user's that only passes tensors on; in one that does
more, which may change parameters and so gets a copy of them for each gradient; and the same
computation in torch's own loop, with model and inputs in contiguous or in channels-last order, with
the model compiled, and under bfloat16 autocast (`model.precision`), in turns, on one thread, or on
a GPU where there is one. A form that fails here is left out with a note: torch.compile needs a C++
compiler.

    python benchmarks/compute.py
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import click
import torch
from torch import Tensor, nn

from hybridmpi.learning.accelerator import Accelerator, choose_device
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.gradients import GradientComputer
from hybridmpi.learning.problems.images import build_model, cross_entropy

SHAPES = {
    "mnist_cnn": (1, 28, 28),
    "lenet": (3, 32, 32),
    "resnet18": (3, 32, 32),
}
REPEATS = 5


@dataclass(frozen=True)
class Batches:
    """One batch again and again, as it comes from a data set."""

    inputs: Tensor
    labels: Tensor

    def get(self, n: int) -> tuple[Tensor, Tensor]:
        """Return the batch."""
        del n
        return self.inputs, self.labels


Turn = Callable[[], None]


@click.command(context_settings={"show_default": True})
@click.option("--model", "models", type=click.Choice(list(SHAPES)), multiple=True, default=SHAPES)
@click.option("--batch-size", default=32, help="Samples per gradient.")
@click.option("--seconds", default=1.0, help="Length of one measurement.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def main(models: tuple[str, ...], batch_size: int, seconds: float, as_json: bool) -> None:
    """Compare forms of the inner loop."""
    torch.set_num_threads(1)
    device = choose_device("auto", 0)
    for model in models:
        turns = {name: turn for name in FORMS if (turn := prepare(name, model, batch_size, device))}
        rates: dict[str, list[float]] = {name: [] for name in turns}
        for _ in range(REPEATS):
            for name, turn in turns.items():
                rates[name].append(rate(turn, seconds))
        medians = {name: median(values) for name, values in rates.items()}
        line = {
            "benchmark": "compute",
            "model": model,
            "batch_size": batch_size,
            "device": str(device),
            "gradients_per_s": medians["workers"],
            **{
                f"{name} / workers": medians[name] / medians["workers"]
                for name in list(medians)[1:]
            },
        }
        print(json.dumps(line) if as_json else ", ".join(f"{k}: {v}" for k, v in line.items()))


def prepare(form: str, name: str, batch_size: int, device: torch.device) -> Turn | None:
    """Return what computes one gradient in this form; None where it can't be had here."""
    model = build_model(name, input_shape=SHAPES[name], num_classes=10, seed=0).to(device)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(batch_size, *SHAPES[name], generator=generator).to(device)
    labels = torch.randint(10, (batch_size,), generator=generator).to(device)
    turn = FORMS[form](model, Batches(inputs, labels))
    try:
        turn()
    except Exception as error:  # whatever a compiler says
        print(f"{name}, {form}: left out, {str(error).splitlines()[0]}", file=sys.stderr)
        return None
    return turn


def workers(model: nn.Module, batches: Batches, *, is_bfloat16: bool = False) -> Turn:
    """Compute as workers do."""
    parameters = flatten(model).cpu()
    flat = FlatModel(model)
    accelerator = Accelerator(flat.device, len(parameters)) if flat.device.type != "cpu" else None
    computer = GradientComputer(
        flat,
        cross_entropy,
        seed=0,
        precision="bfloat16" if is_bfloat16 else "float32",
        accelerator=accelerator,
    )
    push = torch.zeros_like(parameters)
    return lambda: void(computer.compute(batches, 1, 0, parameters, push))


class OwnClass(nn.Module):
    """A user's class, whose forward passes tensors on and does nothing else."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap a model."""
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Pass inputs on."""
        output: Tensor = self.model(inputs)
        return output


class CountingClass(OwnClass):
    """A user's class that does more, of which nobody knows what."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap a model."""
        super().__init__(model)
        self.calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        """Pass inputs on, and count."""
        self.calls += 1
        return super().forward(inputs)


def own_class(model: nn.Module, batches: Batches) -> Turn:
    """Compute as workers do where the model is of a class of the user's."""
    return workers(OwnClass(model), batches)


def copied(model: nn.Module, batches: Batches) -> Turn:
    """Compute as workers do where the class may change parameters."""
    return workers(CountingClass(model), batches)


def bfloat16(model: nn.Module, batches: Batches) -> Turn:
    """Compute as workers do with `model.precision = "bfloat16"`."""
    return workers(model, batches, is_bfloat16=True)


def contiguous(model: nn.Module, batches: Batches) -> Turn:
    """Compute with weights, inputs and activations in contiguous order."""
    return plain(model.to(memory_format=torch.contiguous_format), batches)


def channels_last(model: nn.Module, batches: Batches) -> Turn:
    """Compute with inputs, weights and activations in channels-last order."""
    inputs = batches.inputs.contiguous(memory_format=torch.channels_last)
    return plain(model.to(memory_format=torch.channels_last), Batches(inputs, batches.labels))


def compiled(model: nn.Module, batches: Batches) -> Turn:
    """Compute with a compiled model."""
    model.compile()
    return plain(model, batches)


def plain(model: nn.Module, batches: Batches) -> Turn:
    """Compute in torch's own loop, without flat vectors."""

    def turn() -> None:
        inputs, labels = batches.get(0)
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        loss.item()

    return turn


def void(_: object) -> None:
    """Forget a result."""


def rate(turn: Turn, seconds: float) -> float:
    """Return how often per second this can be done."""
    began_s, count = time.perf_counter(), 0
    while (elapsed_s := time.perf_counter() - began_s) < seconds:
        turn()
        count += 1
    return count / elapsed_s


FORMS: dict[str, Callable[[nn.Module, Batches], Turn]] = {
    "workers": workers,
    "own class": own_class,
    "copied": copied,
    "torch": plain,
    "contiguous": contiguous,
    "channels-last": channels_last,
    "compiled": compiled,
    "bfloat16": bfloat16,
}


if __name__ == "__main__":
    main()
