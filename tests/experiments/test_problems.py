import pytest

from hybridmpi.experiments.comparisons import compare_all
from hybridmpi.experiments.problems import find_problems
from hybridmpi.experiments.study import Study

GAINS = [0.01, 0.02, 0.03]


def problems_of(made, study: Study | None = None) -> list[str]:
    study = study or made.study()
    return list(find_problems(study, made.digests, compare_all(study, made.digests)))


def test_whole_study_has_no_problems(made) -> None:
    made.add_pairs((), GAINS)
    assert problems_of(made) == []


def test_what_the_study_says_comes_first(made) -> None:
    made.add_pairs((), GAINS)
    assert problems_of(made, made.study(problems=("the plan is torn.",))) == ["the plan is torn."]


def test_missing_run_is_named_and_so_is_its_pair(made) -> None:
    made.add_pairs((("data.batch_size", 64),), GAINS)
    made.declare("hybrid", (("data.batch_size", 64),), 3)
    missing, pairs = problems_of(made)
    assert "1 of 7 declared runs are missing: hybrid (batch size 64) seed 3" in missing
    assert "hybrid (batch size 64) (1 of 4: seeds 3)" in pairs


def test_seed_that_only_one_of_them_has_is_named(made) -> None:
    made.add_pairs((), GAINS)
    made.add("hybrid", (), 9, 0.6)
    (problem,) = problems_of(made)
    assert "hybrid (1 of 4: seeds 9)" in problem


@pytest.mark.parametrize("status", ["running", "stopped", "failed"])
def test_unfinished_run_is_named_and_left_out(made, status: str) -> None:
    made.add_pairs((), GAINS)
    path = made.add("hybrid", (), 3, 0.6, status=status)
    made.add("async", (), 3, 0.5)
    unfinished, pairs = problems_of(made)
    assert "1 unfinished" in unfinished
    assert path.name in unfinished
    assert "seeds 3" in pairs


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"times_s": (0.0, 10.0, 20.0)}, "T, the time of the last evaluation in s (20.0, 10.0)"),
        ({"times_s": (0.0, 4.0, 10.0)}, "evaluation grid (3 times, 4 to 6 s apart, 3 times, 5 to"),
        ({"data": {"dataset": "mnist"}}, "data.dataset (mnist, digits)"),
        ({"num_workers": 3}, "number of workers (3, 2)"),
        ({"engine": "mpi"}, "engine (mpi, simulate)"),
    ],
)
def test_pair_that_differs_in_what_it_should_share_is_not_compared(made, change, said) -> None:
    made.add_pairs((), GAINS)
    made.add("async", (), 3, 0.5)
    made.add("hybrid", (), 3, 0.6, **change)
    differing, pairs = problems_of(made)
    assert said in differing
    assert "hybrid (1 of 4: seeds 3)" in pairs


def test_run_with_another_seed_than_declared_is_named(made) -> None:
    made.add_pairs((), GAINS)
    made.add("async", (), 3, 0.5)
    path = made.add("hybrid", (), 3, 0.6, preset="hybrid")
    made.digests[path].config["run"]["seed"] = 4
    assert f"{path.name} has seed 4, but stands for seed 3" in problems_of(made)[0]


def test_single_run_has_nothing_to_be_compared_with(made) -> None:
    made.add("hybrid", (), 0)
    one_method, one_run = problems_of(made)
    assert "only runs of one method, hybrid" in one_method
    assert "one run only of hybrid" in one_run


def test_long_lists_are_cut(made) -> None:
    made.add_pairs((), GAINS)
    for seed in range(3, 20):
        made.declare("hybrid", (), seed)
    assert "seed 7 and 12 more;" in problems_of(made)[0]
