import numpy as np
from made_up_studies import change, make

from hybridmpi.experiments.figures.course import draw_rates, draw_threshold_and_staleness


def test_threshold_and_staleness_stand_one_above_the_other() -> None:
    study, digests = make(["hybrid"], num_seeds=1)
    threshold, staleness = draw_threshold_and_staleness(study, digests).axes
    course = next(iter(digests.values())).course
    assert np.array_equal(threshold.lines[0].get_ydata(), course.threshold)
    assert np.array_equal(staleness.lines[0].get_ydata(), course.staleness)
    assert threshold.get_ylabel() == "threshold (gradients)"
    lowest, highest = threshold.get_ylim()
    assert lowest < 0
    assert highest > 6


def test_rates_are_those_of_the_course() -> None:
    study, digests = make(["async"], num_seeds=1)
    gradients, steps = draw_rates(study, digests).axes
    course = next(iter(digests.values())).course
    assert np.array_equal(gradients.lines[0].get_ydata(), course.gradients_per_s)
    assert np.array_equal(steps.lines[0].get_ydata(), course.steps_per_s)


def test_time_without_gradients_is_bridged() -> None:
    made = make(["sync"], num_seeds=1)
    course = next(iter(made[1].values())).course.copy()
    course.loc[10:12, "staleness"] = np.nan
    study, digests = change(made, "sync-0-0.h5", course=course)
    line = draw_threshold_and_staleness(study, digests).axes[1].lines[0]
    assert len(line.get_ydata()) == len(course) - 3
    assert np.isfinite(line.get_ydata()).all()


def test_six_cells_make_twelve_panels() -> None:
    figure = draw_rates(*make(["async"], num_seeds=1, data__batch_size=range(8)))
    assert len(figure.axes) == 12
    assert figure.get_suptitle().startswith("6 of 8 cells")
