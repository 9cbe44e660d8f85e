"""What is wrong with the runs of a study: each a sentence that says how to mend it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from hybridmpi.experiments.arms import Digests, arms_of, complete_run, complete_runs
from hybridmpi.experiments.comparisons import Comparison
from hybridmpi.experiments.names import arm_name, listing, place_name
from hybridmpi.experiments.study import Place, Study
from hybridmpi.experiments.worlds import world_differences


def find_problems(
    study: Study, digests: Digests, comparisons: Sequence[Comparison]
) -> tuple[str, ...]:
    """Return what keeps runs of a study from being compared; empty if all is well."""
    return (
        *study.problems,
        *_missing(study),
        *_unfinished(digests),
        *_other_seeds(study, digests),
        *_too_few(study, digests),
        *_other_worlds(study, digests, comparisons),
        *_without_pair(comparisons),
    )


def _missing(study: Study) -> Iterator[str]:
    names = [place_name(place) for place, path in study.places.items() if not path.exists()]
    if names:
        yield (
            f"{len(names)} of {len(study.places)} declared runs are missing: {listing(names)}; "
            "run the experiment again to fill them in."
        )


def _unfinished(digests: Digests) -> Iterator[str]:
    by_status = defaultdict(list)
    for path, run in digests.items():
        if run.status != "complete":
            by_status[run.status].append(path.name)
    for status, names in by_status.items():
        meaning = "running, or killed" if status == "running" else status
        yield (
            f"{len(names)} unfinished ({meaning}), left out of all comparisons: {listing(names)}; "
            "run them again."
        )


def _other_seeds(study: Study, digests: Digests) -> Iterator[str]:
    for place, path in study.places.items():
        run = digests.get(path)
        if run is not None and run.config["run"]["seed"] != place.seed:
            seed = run.config["run"]["seed"]
            yield f"{path.name} has seed {seed}, but stands for seed {place.seed}; run it again."


def _too_few(study: Study, digests: Digests) -> Iterator[str]:
    arms = arms_of(study)
    if len({arm.variant for arm in arms}) == 1 and arms:
        yield (
            f"there are only runs of one method, {arms[0].variant}: nothing to compare it with; "
            "add runs of another method with the same seeds."
        )
    single = [arm for arm in arms if len(complete_runs(study, digests, arm)) == 1]
    if single:
        names = [arm_name(arm.variant, arm.cell) for arm in single]
        yield (
            f"one run only of {listing(names)}: without a second seed there is no interval and no "
            "verdict; add seeds."
        )


def _other_worlds(
    study: Study, digests: Digests, comparisons: Sequence[Comparison]
) -> Iterator[str]:
    files_by_difference = defaultdict(list)
    for each in comparisons:
        for seed in each.pairs.seeds:
            run, partner = (
                complete_run(study, digests, Place(arm.variant, arm.cell, seed))
                for arm in (each.method, each.reference)
            )
            if run is not None and partner is not None:
                for difference in world_differences(run, partner):
                    files_by_difference[difference].append(f"{run.path.name}, {partner.path.name}")
    for difference, files in files_by_difference.items():
        yield (
            f"runs that should share it differ in {difference}, so these pairs are not compared: "
            f"{listing(files)}."
        )


def _without_pair(comparisons: Sequence[Comparison]) -> Iterator[str]:
    names = []
    for each in comparisons:
        if seeds := each.pairs.seeds_without_pair:
            name = arm_name(each.method.variant, each.method.cell)
            count = f"{len(seeds)} of {len(each.pairs.seeds)}"
            names.append(f"{name} ({count}: seeds {listing(seeds)})")
    if names:
        yield (
            f"pairs with {comparisons[0].reference.variant} are missing: {listing(names)}; each "
            "needs a complete run of both methods with the same seed."
        )
