import torch

from hybridmpi.engines.snapshots import Snapshot, SnapshotTaker


def drive(taker: SnapshotTaker, steps_at: list[float], end_s: float) -> list[Snapshot]:
    """Take steps at these times; version v consists of v's, and of 16 v samples."""
    parameters = torch.zeros(2)
    for version, now_s in enumerate(steps_at, start=1):
        taker.before_step(now_s, version - 1, 16 * (version - 1), parameters)
        parameters.fill_(version)
        taker.after_step(now_s, version, 16 * version, parameters)
    taker.finish(end_s, len(steps_at), 16 * len(steps_at), parameters)
    for snapshot in taker.taken:
        assert snapshot.parameters.tolist() == [snapshot.version] * 2
        assert snapshot.samples == 16 * snapshot.version
    return taker.taken


def test_grid_holds_what_was_in_force() -> None:
    taken = drive(SnapshotTaker(1.0, None), [0.5, 1.0, 1.5, 3.25], end_s=4.0)
    # the step at 1.0 replaces what was in force up to then
    assert [(s.time_s, s.version) for s in taken] == [(0, 0), (1, 1), (2, 3), (3, 3), (4, 4)]


def test_end_is_taken_also_off_the_grid() -> None:
    taken = drive(SnapshotTaker(1.0, None), [0.5], end_s=1.25)
    assert [(s.time_s, s.version) for s in taken] == [(0, 0), (1, 1), (1.25, 1)]


def test_without_a_grid_beginning_and_end_are_taken() -> None:
    taken = drive(SnapshotTaker(None, None), [0.5, 0.75], end_s=2.0)
    assert [(s.time_s, s.version) for s in taken] == [(0, 0), (2, 2)]


def test_every_few_steps() -> None:
    taken = drive(SnapshotTaker(None, 2), [0.5, 0.75, 1.0, 1.25], end_s=1.25)
    assert [(s.time_s, s.version) for s in taken] == [(0, 0), (0.75, 2), (1.25, 4)]


def test_snapshots_of_one_version_share_their_parameters() -> None:
    taken = drive(SnapshotTaker(1.0, None), [0.5], end_s=3.0)
    assert len({id(s.parameters) for s in taken if s.version == 1}) == 1
    assert taken[0].parameters is not taken[1].parameters
