import pytest

from hybridmpi.core.server import Limits
from hybridmpi.engines.status import fraction_done


@pytest.mark.parametrize(
    ("limits", "fraction"),
    [
        (Limits(time_s=40.0), 0.25),
        (Limits(gradients=400), 0.5),
        (Limits(steps=400), 0.125),
        (Limits(samples=8000), 0.8),
        (Limits(time_s=40.0, gradients=400, steps=400), 0.5),  # the limit that is nearest
        (Limits(time_s=5.0), 1.0),  # the last pushes arrive after the end
        (Limits(), 0.0),
    ],
)
def test_nearest_limit_says_how_much_is_done(limits: Limits, fraction: float) -> None:
    done = fraction_done(limits, time_s=10.0, gradients=200, steps=50, samples=6400)
    assert done == pytest.approx(fraction)
