from collections.abc import Callable

from hybridmpi.experiments.run_list import study_of_runs
from hybridmpi.experiments.study import Digest, Study

DigestOf = Callable[..., Digest]


def study_of(*digests: Digest) -> Study:
    return study_of_runs({digest.path: digest for digest in digests})


def test_methods_are_variants_and_async_is_the_reference(digest_of: DigestOf) -> None:
    study = study_of(
        digest_of(preset="hybrid"), digest_of(preset="async"), digest_of(preset="k-async")
    )
    assert study.variants == ["async", "hybrid", "k-async"]
    assert study.question is None


def test_seeds_are_no_axis_and_other_fields_are(digest_of: DigestOf) -> None:
    study = study_of(
        *(
            digest_of(seed=seed, settings={"optimizer": {"learning_rate": rate}})
            for seed in (0, 1)
            for rate in (0.2, 0.1)
        )
    )
    assert study.cells == [(("optimizer.learning_rate", 0.1),), (("optimizer.learning_rate", 0.2),)]
    assert study.seeds == [0, 1]


def with_method(digest_of: DigestOf, preset: str, **fields: object) -> Digest:
    return digest_of(preset=preset, settings={"method": {"preset": preset} | fields})


def test_variants_of_a_preset_are_named_by_what_differs(digest_of: DigestOf) -> None:
    study = study_of(
        with_method(digest_of, "hybrid", aggregation="sum", threshold={"every": 300}),
        with_method(digest_of, "hybrid", aggregation="mean", threshold={"every": 300}),
        with_method(digest_of, "async", aggregation="mean"),
    )
    assert study.variants == ["async", "hybrid (aggregation mean)", "hybrid (aggregation sum)"]
    assert study.cells == [()]


def test_aggregation_does_not_tell_asynchronous_runs_apart(digest_of: DigestOf) -> None:
    study = study_of(
        with_method(digest_of, "async", aggregation="sum"),
        digest_of(seed=1, settings={"method": {"preset": "async", "aggregation": "mean"}}),
    )
    assert study.variants == ["async"]


def test_same_job_twice_counts_once_and_is_told(digest_of: DigestOf) -> None:
    first, second = digest_of(), digest_of()
    study = study_of(first, second)
    assert list(study.places.values()) == [first.path]
    assert f"{second.path} (as {first.path})" in study.problems[0]


def test_engines_are_kept_apart(digest_of: DigestOf) -> None:
    study = study_of(digest_of(engine="mpi"), digest_of(engine="simulate"))
    assert study.cells == [(("engine", "mpi"),), (("engine", "simulate"),)]


def test_what_pairs_must_share_is_no_axis(digest_of: DigestOf) -> None:
    study = study_of(
        digest_of(preset="async", settings={"evaluation": {"every_s": 1.0}}),
        digest_of(preset="hybrid", times_s=(0.0, 10.0, 20.0)),
    )
    assert study.cells == [()]


def test_lists_in_a_job_can_be_an_axis(digest_of: DigestOf) -> None:
    study = study_of(
        *(digest_of(settings={"simulate": {"slowness": slow}}) for slow in ([1.0], [1.0, 3.0]))
    )
    values = {dict(cell)["simulate.slowness"] for cell in study.cells}
    assert values == {"[1.0]", "[1.0, 3.0]"}
