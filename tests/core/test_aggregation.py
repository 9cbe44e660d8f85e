import pytest

from hybridmpi.core.aggregation import scale


def test_mean_divides_by_the_number_of_equal_batches():
    assert scale("mean", [32, 32, 32, 32]) == 0.25


def test_mean_divides_by_all_samples_in_multiples_of_the_first():
    assert scale("mean", [30, 10]) == 0.75


def test_sum_of_equal_batches_stays_as_it_is():
    assert scale("sum", [8, 8, 8]) == pytest.approx(1)


def test_sqrt_lies_between_mean_and_sum():
    assert scale("sqrt", [8] * 4) == pytest.approx(0.5)


@pytest.mark.parametrize("aggregation", ["mean", "sum", "sqrt"])
@pytest.mark.parametrize("samples", [1, 3, 7, 32, 49])
def test_a_single_gradient_weighs_exactly_one(aggregation, samples):
    assert scale(aggregation, [samples]) == 1.0


def test_no_gradients_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        scale("mean", [])
