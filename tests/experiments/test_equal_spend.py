from collections.abc import Callable

import numpy as np
import pytest

from hybridmpi.experiments.equal_spend import common_end, mean_up_to
from hybridmpi.experiments.study import Digest

DigestOf = Callable[..., Digest]


def test_common_range_ends_where_the_thriftiest_run_does(digest_of: DigestOf) -> None:
    runs = [digest_of(gradients=100), digest_of(gradients=60)]
    assert common_end(runs, "gradients") == 60
    assert common_end(runs, "bytes_sent") == 60_000
    assert common_end([], "gradients") == 0


def test_mean_up_to_an_amount_is_worked_by_hand(digest_of: DigestOf) -> None:
    # 0.1 at 0, 0.5 at 50, 0.6 at 100 gradients: 0.55 at 75. (50 x 0.3 + 25 x 0.525) / 75
    run = digest_of(gradients=100)
    assert mean_up_to(run, "test_accuracy", "gradients", 75) == pytest.approx(0.375)


def test_mean_over_all_worker_seconds_is_the_interval_mean(digest_of: DigestOf) -> None:
    run = digest_of()
    mean = mean_up_to(run, "test_accuracy", "worker_seconds", 20)
    assert mean == pytest.approx(run.outcomes["test_accuracy"])


def test_nothing_in_common_has_no_mean(digest_of: DigestOf) -> None:
    assert np.isnan(mean_up_to(digest_of(), "test_accuracy", "gradients", 0))
    assert np.isnan(mean_up_to(digest_of(), "test_accuracy", "gradients", float("nan")))
