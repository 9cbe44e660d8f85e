"""What a hurried reader takes away."""

from collections import Counter
from collections.abc import Iterator

from hybridmpi.experiments.document import Note
from hybridmpi.experiments.names import counted, engine_name, listing
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.runs import flag_notes
from hybridmpi.experiments.report.verdicts import verdict_sentence

_MOST_SENTENCES = 8


def summary(findings: Findings) -> tuple[Note, ...]:
    """Return the verdicts, the runs, and what is missing."""
    return (
        *_verdicts(findings),
        Note(_runs(findings)),
        *flag_notes(findings),
        *(Note(problem, "warning") for problem in findings.problems),
    )


def _verdicts(findings: Findings) -> Iterator[Note]:
    if findings.study.question is None:
        yield Note("Nothing was asked before the runs: all differences are for description.")
        return
    decisions = Counter(
        each.verdict.decision or "without a verdict"
        for each in findings.comparisons
        if each.verdict is not None
    )
    total = decisions.total()
    counts = ", ".join(f"{count} {decision}" for decision, count in decisions.most_common())
    yield Note(
        f"{counted(total, 'comparison')} with {findings.study.variants[0]} by "
        f"{findings.outcome.label}: {counts}."
    )
    sentences = [verdict_sentence(findings, each) for each in findings.comparisons]
    told = [sentence for sentence in sentences if sentence is not None]
    told.sort(key=lambda note: note.tone == "neutral")
    yield from told[:_MOST_SENTENCES]
    reasons = (each.verdict.reason for each in findings.comparisons if each.verdict is not None)
    for reason in dict.fromkeys(filter(None, reasons)):
        yield Note(f"No verdict: {reason}.", "warning")


def _runs(findings: Findings) -> str:
    study, digests = findings.study, findings.digests
    engines = Counter(engine_name(run.engine) for run in digests.values())
    kinds = listing([f"{count} {engine}" for engine, count in sorted(engines.items())])
    complete = sum(run.status == "complete" for run in digests.values())
    return (
        f"{counted(len(digests), 'run file')} ({kinds}), {complete} of them complete, for "
        f"{counted(len(study.places), 'declared run')}: "
        f"{counted(len(study.variants), 'method')}, {counted(len(study.cells), 'condition')}, "
        f"{counted(len(study.seeds), 'seed')}."
    )
