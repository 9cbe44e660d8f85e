import pytest

from hybridmpi.core.aggregation import weights


def test_mean_of_equal_batches_weighs_all_alike():
    assert weights("mean", [32, 32, 32, 32], [1, 1, 1, 1]) == (0.25,) * 4


def test_mean_weighs_by_samples_where_batches_differ():
    assert weights("mean", [30, 10], [1, 1]) == (0.75, 0.25)


def test_sum_of_equal_batches_weighs_each_gradient_once():
    assert weights("sum", [8, 8, 8], [1, 1, 1]) == pytest.approx((1, 1, 1))


def test_sqrt_lies_between_mean_and_sum():
    assert weights("sqrt", [8] * 4, [1] * 4) == pytest.approx((0.5,) * 4)


def test_damping_lowers_the_weight_of_that_gradient_alone():
    assert weights("mean", [8, 8], [1, 0.5]) == (0.5, 0.25)


@pytest.mark.parametrize("aggregation", ["mean", "sum", "sqrt"])
@pytest.mark.parametrize("samples", [1, 3, 7, 32, 49])
def test_a_single_gradient_weighs_exactly_one(aggregation, samples):
    assert weights(aggregation, [samples], [1.0]) == (1.0,)


def test_no_gradients_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        weights("mean", [], [])
