"""The report as a whole."""

from collections.abc import Callable, Iterable

from hybridmpi.experiments.arms import Digests
from hybridmpi.experiments.document import Document, Section
from hybridmpi.experiments.report.claim import claim_section
from hybridmpi.experiments.report.differences import differences_section
from hybridmpi.experiments.report.equal_spend import equal_spend_section
from hybridmpi.experiments.report.findings import Findings, find
from hybridmpi.experiments.report.interactions import interactions_section
from hybridmpi.experiments.report.methods import methods_section
from hybridmpi.experiments.report.pictures import picture_sections
from hybridmpi.experiments.report.runs import runs_section
from hybridmpi.experiments.report.summary import summary
from hybridmpi.experiments.report.targets import targets_section
from hybridmpi.experiments.report.tuning import tuning_section
from hybridmpi.experiments.report.verdicts import verdict_section
from hybridmpi.experiments.report.workers import workers_section
from hybridmpi.experiments.study import Study

Part = Callable[[Findings], Section | None]

_OF_COMPARISONS: tuple[Part, ...] = (
    verdict_section,
    differences_section,
    targets_section,
    tuning_section,
    interactions_section,
    claim_section,
    equal_spend_section,
)
_OF_RUNS: tuple[Part, ...] = (methods_section, workers_section, runs_section)


def build_document(study: Study, digests: Digests, title: str) -> Document:
    """Return the report on a study.

    Args:
        study: The declared runs and the question.
        digests: Those run files that are there, by path.
        title: The report's title.
    """
    findings = find(study, digests)
    compared = _sections(_OF_COMPARISONS if findings.comparisons else (), findings)
    pictures, runs = picture_sections(findings), _sections(_OF_RUNS, findings)
    return Document(title, summary(findings), (*compared, *pictures, *runs))


def _sections(parts: Iterable[Part], findings: Findings) -> list[Section]:
    return [section for part in parts if (section := part(findings)) is not None]
