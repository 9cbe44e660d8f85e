"""Image classification: the problem of a job's [data] and [model]."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybridmpi.core.metrics import FRACTION, NATS
from hybridmpi.errors import UserError
from hybridmpi.learning.building import build
from hybridmpi.learning.models import ImageModel, Shape
from hybridmpi.learning.problem import LOSS, Metric, Mode, Problem
from hybridmpi.learning.problems.image_batches import (
    Augmentation,
    LabelledImages,
    Normalisation,
)
from hybridmpi.learning.samples import TensorSamples


@dataclass(frozen=True)
class ImageSource:
    """Where images and their model come from: a job's [data] and [model].

    Attributes:
        model: See `ImageModel`.
        dataset: See `datasets.load_dataset`; so with the next three.
        root: The folder of the data set's files.
        download: Whether to fetch missing ones.
        options: Of the data set.
        normalize: Whether batches are normalised.
        augmentation: Names of what is done to training samples at random.
    """

    model: str
    dataset: str
    root: Path | None
    download: bool
    options: dict[str, Any]
    normalize: bool
    augmentation: tuple[str, ...]
    is_made_by_readers: bool = True

    def make(self) -> Problem:
        """Load the data set, and return the problem.

        Raises:
            UserError: If it can't be loaded.
        """
        # A rank that loads nothing has no use for what this imports.
        from hybridmpi.learning.datasets import load_dataset

        data_set = load_dataset(
            self.dataset, self.root, download=self.download, options=self.options
        )
        mean, std = (data_set.mean, data_set.std) if self.normalize else (None, None)
        stored = image_samples(
            data_set.train_inputs,
            data_set.train_labels,
            mean=mean,
            std=std,
            augmentation=self.augmentation,
        )
        return replace(
            classification(self.model, data_set.shape, data_set.num_classes),
            training=stored,
            test=image_samples(data_set.test_inputs, data_set.test_labels, mean=mean, std=std),
        )


def image_samples(
    inputs: Tensor,
    labels: Tensor,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    augmentation: tuple[str, ...] = (),
) -> TensorSamples:
    """Return images with their labels as samples.

    Args:
        inputs: uint8 or float32, [samples, channels, height, width].
        labels: int64, [samples].
        mean: See `image_batches.normalise`.
        std: Likewise.
        augmentation: Names of what is done to training batches at random.

    Raises:
        UserError: If an augmentation is unknown.
    """
    augment = Augmentation(augmentation) if augmentation else None
    prepare = Normalisation(mean, std)
    return TensorSamples((inputs, labels), labels, augment=augment, prepare=prepare)


def classification(model: str, input_shape: Shape, num_classes: int) -> Problem:
    """Return the problem of classifying images, without samples.

    Args:
        model: See `ImageModel`.
        input_shape: Channels, height and width of one sample.
        num_classes: The number of classes.
    """
    return Problem(
        model=ImageModel(model, input_shape, num_classes),
        training=None,
        test=None,
        loss=cross_entropy,
        metrics={
            LOSS: Metric(measure, unit=NATS),
            "accuracy": Metric(
                measure,
                unit=FRACTION,
                higher_is_better=True,
                meaning="share of that set classified rightly, 0 to 1",
            ),
        },
        subject=f"model.name is '{model}'",
        examine=_Examination(f"model.name is '{model}'", num_classes),
    )


def cross_entropy(model: nn.Module, batch: LabelledImages) -> Tensor:
    """Return the mean cross-entropy of a batch."""
    inputs, labels = batch
    return functional.cross_entropy(model(inputs), labels)


def measure(model: nn.Module, batch: LabelledImages) -> dict[str, Tensor]:
    """Return the cross-entropy of each sample, and whether its label has the largest output."""
    inputs, labels = batch
    output: Tensor = model(inputs)
    return {
        LOSS: functional.cross_entropy(output.double(), labels, reduction="none"),
        "accuracy": output.argmax(1) == labels,
    }


@dataclass(frozen=True)
class _Examination:
    """Looks at what a model makes of a few images.

    Attributes:
        subject: What messages begin with.
        num_classes: How many outputs the model must have.
    """

    subject: str
    num_classes: int

    def __call__(self, model: nn.Module, batch: LabelledImages, mode: Mode) -> Tensor:
        inputs, labels = batch
        shape = list(inputs.shape)
        try:
            output: Any = model(inputs)
        except Exception as error:  # models refuse inputs in many ways
            raise self._error(
                f"which can't take inputs of shape {shape} in {mode} "
                f"({type(error).__name__}: {error}); take another model, or data of the shape that "
                "this one expects; it must take any number of samples"
            ) from error
        self._check_output(output, mode, shape)
        # In training a run counts them, and ends after `run.non_finite_limit` in a row.
        if mode == "evaluation" and output.isnan().any():
            raise self._error("whose output in evaluation is NaN for samples of the data set")
        if mode == "training" and not output.requires_grad:
            raise self._error(
                "whose output in training doesn't depend on its parameters, so that nothing can be "
                "learned; leave out torch.no_grad, detach, item and numpy on the way to it"
            )
        return functional.cross_entropy(output, labels)

    def _check_output(self, output: Any, mode: Mode, shape: list[int]) -> None:
        wanted = [shape[0], self.num_classes]
        if not isinstance(output, Tensor):
            raise self._error(
                f"whose output in {mode} is {type(output).__name__}, but must be one tensor of "
                f"shape [batch, {self.num_classes}]; wrap it in a model of your own"
            )
        if list(output.shape) != wanted:
            raise self._error(
                f"whose output in {mode} for inputs of shape {shape} "
                f"has shape {list(output.shape)}, but must have {wanted}: one number per class "
                "for each sample, whatever their number"
            )
        if not output.is_floating_point():
            raise self._error(
                f"whose output in {mode} is {output.dtype}, but must be floating-point numbers, "
                "one per class; return them as they are before any argmax"
            )

    def _error(self, what: str) -> UserError:
        return UserError(f"{self.subject}, {what}")


def build_model(
    name: str,
    *,
    input_shape: Shape,
    num_classes: int,
    seed: int,
    samples: Tensor | None = None,
    **options: Any,
) -> nn.Module:
    """Build a classifier, and try it.

    Args:
        name: See `ImageModel`.
        input_shape: Channels, height and width of one sample.
        num_classes: The number of outputs.
        seed: The run's seed.
        samples: Some inputs as a model is given them: float32, [samples, *input_shape]; zeros if
            not given.
        options: Of `building.build`.

    Raises:
        UserError: If it can't be built, or doesn't turn inputs of that shape into outputs of shape
            [batch, num_classes], in training and in evaluation.
    """
    inputs = torch.zeros(1, *input_shape) if samples is None else samples
    examples = (inputs, torch.zeros(len(inputs), dtype=torch.int64))
    problem = classification(name, input_shape, num_classes)
    return build(problem, examples, seed=seed, **options)
