"""Evaluates snapshots, after training and outside its clock."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from hybridmpi.core.metrics import TEST_ACCURACY, TEST_LOSS, TRAIN_LOSS
from hybridmpi.engines.recorder import Recorder
from hybridmpi.engines.snapshots import Snapshot
from hybridmpi.learning.evaluation import evaluate
from hybridmpi.learning.flat import FlatModel

Samples = tuple[Tensor, Tensor]


def evaluate_snapshots(
    snapshots: Sequence[Snapshot],
    recorder: Recorder,
    model: FlatModel,
    sets: tuple[Samples, Samples],
    *,
    normalisation: tuple[tuple[float, ...] | None, tuple[float, ...] | None],
    batch_size: int,
    training_samples: int,
    go_on: Callable[[int], bool] = lambda _: True,
) -> Mapping[str, float] | None:
    """Evaluate snapshots in order, and write each one's result to the run file at once.

    Args:
        snapshots: In the order of their times; those of one version are evaluated once.
        recorder: Of the run.
        model: The model; its own parameters are lost.
        sets: The fixed subset of the training set, and the whole test set or validation split.
        normalisation: The data set's mean and deviation per channel.
        batch_size: Samples per forward pass.
        training_samples: Size of the training set, without what is held out: one epoch.
        go_on: Asked before each snapshot, with the number of those that are done.

    Returns:
        The last snapshot's metrics by name; None if it was not evaluated.
    """
    mean, std = normalisation
    version, on_training, on_held_out = -1, None, None
    values: dict[str, float] = {}
    for done, snapshot in enumerate(snapshots):
        if not go_on(done):
            left = len(snapshots) - done
            recorder.event(snapshot.time_s, "unevaluated", 0, f"{left} snapshots from here on")
            return None
        if snapshot.version != version or on_training is None or on_held_out is None:
            version = snapshot.version
            on_training, on_held_out = (
                evaluate(
                    model, snapshot.parameters, *samples, mean=mean, std=std, batch_size=batch_size
                )
                for samples in sets
            )
        values = {
            TRAIN_LOSS.name: on_training.loss,
            TEST_LOSS.name: on_held_out.loss,
            TEST_ACCURACY.name: on_held_out.accuracy,
        }
        epoch = snapshot.samples / training_samples
        recorder.writer.evaluation(snapshot.time_s, version, epoch, values)
        recorder.writer.snapshot(snapshot.time_s, version, snapshot.parameters.numpy())
        recorder.writer.flush()
    return values or None
