"""Evaluates snapshots, after training and outside its clock."""

from collections.abc import Callable, Mapping, Sequence

from hybridmpi.core.metrics import TRAIN_LOSS
from hybridmpi.engines.recorder import Recorder
from hybridmpi.engines.snapshots import Snapshot
from hybridmpi.learning.evaluation import evaluate
from hybridmpi.learning.flat import FlatModel
from hybridmpi.learning.problem import LOSS, Problem
from hybridmpi.learning.samples import AnySamples


def evaluate_snapshots(
    snapshots: Sequence[Snapshot],
    recorder: Recorder,
    model: FlatModel,
    problem: Problem,
    sets: tuple[AnySamples, AnySamples],
    *,
    batch_size: int,
    training_samples: int,
    go_on: Callable[[int], bool] = lambda _: True,
) -> Mapping[str, float] | None:
    """Evaluate snapshots in order, and write each one's result to the run file at once.

    Args:
        snapshots: In the order of their times; those of one version are evaluated once.
        recorder: Of the run.
        model: The model; its own parameters are lost.
        problem: Whose loss and metrics are evaluated.
        sets: The fixed subset of the training set, and the whole test set or validation split.
        batch_size: Samples per forward pass.
        training_samples: Size of the training set, without what is held out: one epoch.
        go_on: Asked before each snapshot, with the number of those that are done.

    Returns:
        The last snapshot's metrics by name; None if it was not evaluated.
    """
    training, held_out = sets
    version = -1
    values: dict[str, float] = {}
    for done, snapshot in enumerate(snapshots):
        if not go_on(done):
            left = len(snapshots) - done
            recorder.event(snapshot.time_s, "unevaluated", 0, f"{left} snapshots from here on")
            return None
        if snapshot.version != version:
            version, parameters = snapshot.version, snapshot.parameters
            on_training = evaluate(
                model, problem, parameters, training, batch_size=batch_size, only=(LOSS,)
            )
            found = evaluate(model, problem, parameters, held_out, batch_size=batch_size)
            values = {problem.column(name): value for name, value in found.items()}
            values[TRAIN_LOSS.name] = on_training[LOSS]
        epoch = snapshot.samples / training_samples
        recorder.writer.evaluation(snapshot.time_s, version, epoch, values)
        recorder.writer.snapshot(snapshot.time_s, version, snapshot.parameters.numpy())
        recorder.writer.flush()
    return values or None
