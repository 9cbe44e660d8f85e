"""What is learned: a model, samples, a loss, and what is measured of the model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, Self

from torch import Tensor, nn

from hybridmpi.core.metrics import TEST_LOSS, TRAIN_LOSS, check_metrics
from hybridmpi.core.metrics import Metric as Described
from hybridmpi.errors import UserError
from hybridmpi.learning.nests import Nest

Batch = Nest
Mode = Literal["training", "evaluation"]
Loss = Callable[[nn.Module, Batch], Tensor]

LOSS = "loss"  # of the metrics, the one that is also evaluated on training samples


@dataclass(frozen=True)
class Metric:
    """A number that is evaluated of a model outside the training clock.

    Attributes:
        function: With `per = "sample"` a function of (model, batch), which returns one number per
            sample, a tensor of shape [samples], or a dict of such tensors by the metrics' names; it
            is called once per batch for all metrics that name it. What counts is the mean over all
            samples. With `per = "model"` a function of the model alone, which returns one number.
        per: "sample" or "model".
        unit: Of the number; empty for a pure number.
        higher_is_better: True for accuracy, false for a loss.
        meaning: What it is, in a few words; run files hold it.
        transform: Applied to the mean: `math.exp` makes a perplexity of a mean loss in nats.
    """

    function: Callable[..., Any]
    per: Literal["sample", "model"] = "sample"
    unit: str = ""
    higher_is_better: bool = False
    meaning: str = ""
    transform: Callable[[float], float] | None = None


@dataclass(frozen=True, eq=False)
class Problem:
    """What is learned.

    A batch is a tensor, or a tuple, list or dict of batches; the first dimension of each tensor
    is the samples. Samples are, for training and for testing each,

    - tensors or numpy arrays in memory, nested like a batch; ranks of a node share them,
    - `numpy.memmap` arrays nested likewise, which stay on disk,
    - a map-style `torch.utils.data.Dataset`, with a collate function as
      `DatasetSamples(dataset, collate)`,
    - any object with a length and `take(indices) -> batch`, where indices are int64, [samples],

    or a function without arguments that returns one of these. Such a function is called only where
    the samples are needed: one rank per node for samples in memory.

    Attributes:
        model: Makes the model, a new one in each call, with initial parameters that are drawn from
            torch's global generator alone, which is seeded before.
        training: Training samples.
        test: Test samples.
        loss: A function of (model, batch): the mean loss over the batch, a scalar tensor.
        metrics: What is evaluated besides the loss, by name. A metric named "loss" takes the place
            of `loss` in evaluations.
        subject: What messages begin with.
        examine: Tries (model, batch, mode) in place of `loss` and metrics before training, and
            returns the loss; raises UserError with what is wrong.

    Raises:
        UserError: If a part is not what it must be.
    """

    model: Callable[[], nn.Module]
    training: Any
    test: Any
    loss: Loss
    metrics: Mapping[str, Metric] = field(default_factory=lambda: MappingProxyType({}))
    subject: str = "a problem is given"
    examine: Callable[[nn.Module, Batch, Mode], Tensor] | None = None

    def __post_init__(self) -> None:
        for part in ("model", "loss"):
            given = getattr(self, part)
            if not callable(given) or isinstance(given, nn.Module):
                raise self._error(
                    f"{part} is {type(given).__name__}, but must be a function of "
                    f"{'no arguments that makes it' if part == 'model' else '(model, batch)'}"
                )
        if not isinstance(self.metrics, Mapping):
            raise self._error(
                f"metrics are {type(self.metrics).__name__}, but must be a dict of Metric by name"
            )
        for key, metric in self.metrics.items():
            if not isinstance(metric, Metric):
                raise self._error(
                    f"metric {key!r} is {type(metric).__name__}, but must be a hybridmpi.Metric"
                )
        try:
            check_metrics(self.described())
        except ValueError as error:
            raise UserError(f"{self.subject}, but {error}") from error

    def without_samples(self) -> Self:
        """Return this problem for a rank that gets its samples otherwise."""
        return replace(self, training=None, test=None)

    def column(self, name: str) -> str:
        """Return what a run file calls the loss or a metric on the set that is not trained on."""
        is_of_model = name in self.metrics and self.metrics[name].per == "model"
        return name if is_of_model else f"test_{name}"

    def described(self) -> tuple[Described, ...]:
        """Return what run files say of the metrics: the first one decides, the losses are last."""
        loss = self.metrics.get(LOSS)
        unit = loss.unit if loss else ""
        others = [
            Described(self.column(name), each.unit, each.higher_is_better, each.meaning or name)
            for name, each in self.metrics.items()
            if name != LOSS
        ]
        return (*others, replace(TEST_LOSS, unit=unit), replace(TRAIN_LOSS, unit=unit))

    def per_sample(self) -> dict[Callable[..., Any], list[str]]:
        """Return each function of samples with the names of its metrics; without a plain loss."""
        functions: dict[Callable[..., Any], list[str]] = {}
        for name, metric in self.metrics.items():
            if metric.per == "sample":
                functions.setdefault(metric.function, []).append(name)
        return functions

    def functions(self) -> list[Callable[..., Any]]:
        """Return all functions of the model: the loss and those of the metrics, each once."""
        return list(dict.fromkeys([self.loss, *(each.function for each in self.metrics.values())]))

    def _error(self, what: str) -> UserError:
        return UserError(f"{self.subject}, whose {what}")
