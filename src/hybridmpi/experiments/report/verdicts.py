"""What was asked, and what is decided about it."""

from collections.abc import Iterator

from hybridmpi.experiments.comparisons import Comparison
from hybridmpi.experiments.document import Note, Section, TableOf, Tone
from hybridmpi.experiments.metrics import ShownMetric
from hybridmpi.experiments.names import arm_name
from hybridmpi.experiments.pairs import outcome_named
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.rows import NOTHING, Rows, difference_numbers, difference_text
from hybridmpi.experiments.study import Question
from hybridmpi.experiments.verdict import Verdict

_TONES: dict[str, Tone] = {"better": "good", "worse": "bad"}


def verdict_section(findings: Findings) -> Section:
    """Return the section about the deciding outcome."""
    return Section(
        f"{findings.outcome.label.capitalize()}: each method minus the reference",
        (*_what_is_asked(findings), _table(findings), *_reasons(findings)),
    )


def verdict_sentence(findings: Findings, comparison: Comparison) -> Note | None:
    """Say what is decided about a comparison; None where there is no verdict."""
    verdict, metric = comparison.verdict, findings.outcome
    if verdict is None or verdict.decision is None:
        return None
    name = arm_name(comparison.method.variant, comparison.method.cell)
    reference = comparison.reference.variant
    tone = _TONES.get(verdict.decision, "neutral")
    if verdict.decision == "identical":
        return Note(f"{name} is identical with {reference}: the same runs or equal ones.", tone)
    difference = comparison.pairs.compare(outcome_named(metric.name))
    how = difference_text(metric, difference)
    said = {
        "better": f"better than {reference}",
        "worse": f"worse than {reference}",
        "equivalent": f"equivalent to {reference}",
        "undecided": f"undecided against {reference}",
    }[verdict.decision]
    pairs = f"{difference.num_pairs} pairs"
    return Note(
        f"{name} is {said}: {how}{_unit(metric)} of {metric.label}, {pairs}, "
        f"p {p_text(_deciding_p_value(verdict))}.",
        tone,
    )


def _deciding_p_value(verdict: Verdict) -> float | None:
    is_equivalent = verdict.decision == "equivalent"
    return verdict.equivalence_p_value if is_equivalent else verdict.difference_p_value


def p_text(p_value: float | None) -> str:
    """Print a p value."""
    if p_value is None:
        return NOTHING
    return f"{p_value:.4f}" if p_value >= 0.0001 else "< 0.0001"


def _unit(metric: ShownMetric) -> str:
    return f" {metric.difference_unit}" if metric.difference_unit else ""


def _in_unit(metric: ShownMetric) -> str:
    return f"in {metric.difference_unit}, " if metric.difference_unit else ""


def _what_is_asked(findings: Findings) -> Iterator[Note]:
    metric, question = findings.outcome, findings.study.question
    yield Note(
        f"The outcome is the interval mean of {metric.label}: the time-weighted mean over the "
        f"evaluation grid. Differences are {_in_unit(metric)}method minus reference for the same "
        "seed, with Student's 95 % interval. A variance ratio below 1 says that "
        "pairing by seed made the comparison sharper."
    )
    if question is None:
        yield Note("No question was declared before the runs, so nothing here is decided.")
    else:
        yield Note(_rule(question, metric))


def _rule(question: Question, metric: ShownMetric) -> str:
    margin = f"{metric.value(question.margin)}{_unit(metric)}"
    return (
        f"Declared before the runs: {', '.join(question.variants)} against {question.reference}, "
        f"in all cells. Deciding is the exact sign-flip permutation test; p is adjusted by Holm "
        f"over all these comparisons, and must be at most {question.level:g}. Equivalent: within "
        f"± {margin}, by two one-sided t tests, adjusted likewise."
    )


def _table(findings: Findings) -> TableOf:
    metric, rows = findings.outcome, Rows()
    for each in findings.comparisons:
        difference = each.pairs.compare(outcome_named(metric.name))
        verdict = each.verdict or Verdict(None)
        word = _word(each)
        shown = {
            "pairs": f"{difference.num_pairs} of {len(each.pairs.seeds)}",
            metric.of_difference("difference"): (
                "identical" if each.pairs.are_same_runs else difference_text(metric, difference)
            ),
            "variance ratio": _ratio(difference.variance_ratio),
        }
        numbers = {
            "reference": each.reference.variant,
            "outcome": metric.name,
            "unit": metric.metric.unit,
            **difference_numbers(difference),
        }
        if findings.study.question is not None:
            shown |= {"p (Holm)": p_text(verdict.difference_p_value), "verdict": word}
            numbers |= {
                "p_value": difference.p_value,
                "p_value_holm": verdict.difference_p_value,
                "equivalence_p_value_holm": verdict.equivalence_p_value,
                "verdict": word,
                "reason": verdict.reason,
            }
        rows.add(each.method, shown, numbers, tones={"verdict": _TONES.get(word, "neutral")})
    return rows.table("verdicts", f"Interval mean of {metric.label}, method minus reference.")


def _word(comparison: Comparison) -> str:
    if comparison.verdict is None:
        return "not asked"
    return comparison.verdict.decision or "no verdict"


def _ratio(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _reasons(findings: Findings) -> Iterator[Note]:
    reasons = (each.verdict.reason for each in findings.comparisons if each.verdict is not None)
    for reason in dict.fromkeys(filter(None, reasons)):
        yield Note(f"No verdict: {reason}.", "warning")
