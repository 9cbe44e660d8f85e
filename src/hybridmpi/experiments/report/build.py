"""The report as a whole."""

from hybridmpi.experiments.document import Document
from hybridmpi.experiments.pairs import Digests
from hybridmpi.experiments.report.claim import claim_section
from hybridmpi.experiments.report.differences import differences_section
from hybridmpi.experiments.report.equal_spend import equal_spend_section
from hybridmpi.experiments.report.findings import find
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

_OF_COMPARISONS = (
    verdict_section,
    differences_section,
    targets_section,
    tuning_section,
    interactions_section,
    claim_section,
    equal_spend_section,
)
_OF_RUNS = (methods_section, workers_section, runs_section)


def build_document(study: Study, digests: Digests, title: str) -> Document:
    """Return the report on a study.

    Args:
        study: The declared runs and the question.
        digests: Those run files that are there, by path.
        title: The report's title.
    """
    findings = find(study, digests)
    parts = (*_OF_COMPARISONS, *_OF_RUNS) if findings.comparisons else _OF_RUNS
    sections = (part(findings) for part in parts)
    tables = [section for section in sections if section is not None]
    return Document(title, summary(findings), (*tables, *picture_sections(findings)))
