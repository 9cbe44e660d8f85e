"""What all parts of a report are made from."""

from dataclasses import dataclass

from hybridmpi.experiments.arms import Arm, Digests, arms_of, complete_runs
from hybridmpi.experiments.comparisons import Comparison, compare_all
from hybridmpi.experiments.metrics import ShownMetric, metric_named, metrics_in
from hybridmpi.experiments.problems import find_problems
from hybridmpi.experiments.study import Digest, Study


@dataclass(frozen=True)
class Findings:
    """A study, its runs, and what they say.

    Attributes:
        study: The declared runs and the question.
        digests: The runs that are there.
        comparisons: Every method against the reference in each cell.
        problems: What is wrong with the runs, in sentences.
    """

    study: Study
    digests: Digests
    comparisons: tuple[Comparison, ...]
    problems: tuple[str, ...]

    @property
    def outcome(self) -> ShownMetric:
        """The deciding outcome, the runs' first metric where nothing was declared."""
        asked = self.study.question.outcome if self.study.question else None
        return metric_named(asked, self.metrics)

    @property
    def metrics(self) -> dict[str, ShownMetric]:
        """What the runs are measured by, by name."""
        return metrics_in(self.digests)

    @property
    def arms(self) -> list[Arm]:
        """All arms, cell by cell, the reference first."""
        return arms_of(self.study)

    @property
    def presets(self) -> dict[str, str]:
        """The preset of each variant of which a run is there, the reference first."""
        found = {
            place.variant: str(self.digests[path].config["method"]["preset"])
            for place, path in self.study.places.items()
            if path in self.digests
        }
        return {variant: found[variant] for variant in self.study.variants if variant in found}

    def runs(self, arm: Arm) -> list[Digest]:
        """Return an arm's complete runs."""
        return complete_runs(self.study, self.digests, arm)


def find(study: Study, digests: Digests) -> Findings:
    """Compare what there is to compare."""
    comparisons = tuple(compare_all(study, digests))
    return Findings(study, digests, comparisons, find_problems(study, digests, comparisons))
