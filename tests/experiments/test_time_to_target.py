import math

import numpy as np
import pytest

from hybridmpi.experiments.time_to_target import TimeToTarget, first_time_at, time_to_target

GRID_S = np.array([0.0, 10.0, 20.0, 30.0])


def test_target_is_reached_at_the_first_time_of_the_grid_at_or_beyond_it() -> None:
    accuracy = np.array([0.1, 0.5, 0.8, 0.7])
    assert first_time_at(GRID_S, accuracy, 0.5, higher_is_better=True) == 10
    assert first_time_at(GRID_S, accuracy, 0.51, higher_is_better=True) == 20  # not 10.3
    assert first_time_at(GRID_S, accuracy, 0.05, higher_is_better=True) == 0


def test_loss_reaches_a_target_from_above() -> None:
    loss = np.array([2.3, 1.1, 0.4, 0.6])
    assert first_time_at(GRID_S, loss, 0.5, higher_is_better=False) == 20


def test_target_that_no_evaluation_reaches_is_at_infinity() -> None:
    accuracy = np.array([0.1, np.nan, 0.3, 0.4])
    assert first_time_at(GRID_S, accuracy, 0.5, higher_is_better=True) == math.inf
    assert first_time_at(GRID_S[:0], accuracy[:0], 0.5, higher_is_better=True) == math.inf


def test_runs_that_miss_the_target_count_as_the_whole_time() -> None:
    reached = time_to_target(np.array([10, 30, math.inf, 20]), end_s=30)
    assert reached == TimeToTarget(share=0.75, restricted_mean_s=22.5)  # (10 + 30 + 30 + 20) / 4


def test_target_reached_after_the_end_is_missed() -> None:
    assert time_to_target(np.array([10.0, 25.0]), end_s=20) == TimeToTarget(0.5, 15)


def test_target_that_nobody_reaches_has_share_zero() -> None:
    assert time_to_target(np.array([math.inf, math.inf]), end_s=30) == TimeToTarget(0, 30)


def test_no_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        time_to_target(np.array([]), end_s=30)
