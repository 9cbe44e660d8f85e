import pytest

from hybridmpi.core.metrics import CLASSIFICATION, Metric, check_metrics


def metric(name: str) -> Metric:
    return Metric(name, "", False, "something")


@pytest.mark.parametrize("name", ["perplexity", "f_gap", "top5", "a" * 31])
def test_names_that_files_can_hold_are_taken(name: str) -> None:
    assert metric(name).name == name


@pytest.mark.parametrize("name", ["", "f - f*", "5th", "Loss", "a" * 32, "größe", "test-loss"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"named '{name}', but a name must".replace("*", r"\*")):
        metric(name)


@pytest.mark.parametrize("name", ["time_s", "gradients", "loss_end", "loss_best", "loss_unit"])
def test_names_of_something_else_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is the name of something else"):
        metric(name)


def test_metrics_are_at_least_one_and_named_apart() -> None:
    check_metrics(CLASSIFICATION)
    with pytest.raises(ValueError, match="give at least one"):
        check_metrics(())
    with pytest.raises(ValueError, match="two metrics are named 'gap'"):
        check_metrics((metric("gap"), metric("gap")))
