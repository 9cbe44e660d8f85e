"""The claim card: what the paper reports, and what these runs say of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hybridmpi.core.metrics import TEST_ACCURACY, TEST_LOSS
from hybridmpi.experiments.arms import Arm
from hybridmpi.experiments.document import Note, Section, Tone
from hybridmpi.experiments.metrics import ShownMetric, shown
from hybridmpi.experiments.paired import PairedComparison
from hybridmpi.experiments.pairs import outcome_named, pair_runs
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.rows import NOTHING, Rows, difference_numbers, difference_text
from hybridmpi.experiments.study import Digest
from hybridmpi.experiments.worlds import end_s

Answer = Literal["compatible", "excluded", "unknown"]
_TONES: dict[Answer, Tone] = {"compatible": "good", "excluded": "bad", "unknown": "neutral"}


@dataclass(frozen=True)
class Claim:
    """A reported difference, hybrid minus asynchronous, in the metric's own unit."""

    metric: ShownMetric
    difference: float


# Source: arXiv 2407.00101; the largest gains over asynchronous SGD, averaged over the interval.
CLAIMS = (Claim(shown(TEST_ACCURACY), 0.04849), Claim(shown(TEST_LOSS), -0.137))
_DATASET, _BATCH_SIZE, _DURATION_S, _NUM_WORKERS = "cifar10", 32, 100.0, 25


@dataclass(frozen=True)
class Reading:
    """A hybrid method beside asynchronous SGD, and in what they are unlike the paper's runs."""

    hybrid: Arm
    reference: Arm
    is_on_cifar10: bool
    departures: tuple[str, ...]


def claim_section(findings: Findings) -> Section | None:
    """Return the claim card; None where no hybrid method stands beside an asynchronous one.

    The claim is about image classification, so there is none either for runs of anything else.
    """
    readings = list(readings_of(findings))
    if not readings or not all(claim.metric.name in findings.metrics for claim in CLAIMS):
        return None
    notes = [
        Note(
            "The paper (arXiv 2407.00101) reports hybrid minus asynchronous SGD of up to +4.849 "
            "points of test accuracy and -0.137 of test loss, averaged over 100 s on CIFAR-10, "
            "batch 32, 25 workers. Compatible: our 95 % interval holds the reported number. "
            "Excluded: it doesn't. Unknown: there is no interval, or no run on CIFAR-10. The paper "
            "leaves the network, its learning rate and the delays open, so that each answer is one "
            "for the values of these runs."
        )
    ]
    if not any(reading.is_on_cifar10 for reading in readings):
        notes.append(
            Note("None of these runs is on CIFAR-10, so they don't speak to the claim.", "warning")
        )
    rows = Rows()
    for reading in readings:
        _add(rows, findings, reading)
    caption = "Interval means, hybrid minus asynchronous, and what they say of the claim."
    return Section("The paper's claim", (*notes, rows.table("claim", caption)))


def readings_of(findings: Findings) -> Iterator[Reading]:
    """Yield every hybrid method in every cell that has asynchronous SGD too."""
    presets = findings.presets
    for arm in findings.arms:
        beside = [
            a for a in findings.arms if a.cell == arm.cell and presets.get(a.variant) == "async"
        ]
        if presets.get(arm.variant) == "hybrid" and beside:
            runs = findings.runs(arm)
            is_on_cifar10 = any(run.config["data"].get("dataset") == _DATASET for run in runs)
            departures = _departures(runs[0]) if runs else ()
            yield Reading(arm, beside[0], is_on_cifar10, tuple(departures))


def answer_to(claim: Claim, difference: PairedComparison) -> Answer:
    """Say whether a claim lies in the 95 % interval of a difference."""
    interval = difference.interval()
    if interval is None:
        return "unknown"
    low, high = interval
    return "compatible" if low <= claim.difference <= high else "excluded"


def _departures(run: Digest) -> Iterator[str]:
    data = run.config["data"]
    learned = data.get("dataset") or run.config["problem"]["name"]
    if learned != _DATASET:
        yield learned
    if data["batch_size"] != _BATCH_SIZE:
        yield f"batch {data['batch_size']}"
    if end_s(run) != _DURATION_S:
        yield f"{end_s(run):g} s"
    if run.num_workers != _NUM_WORKERS:
        yield f"{run.num_workers} workers"


def _add(rows: Rows, findings: Findings, reading: Reading) -> None:
    pairs = pair_runs(findings.study, findings.digests, reading.hybrid, reading.reference)
    shown, tones = {"unlike the paper": ", ".join(reading.departures) or NOTHING}, {}
    numbers = []
    for claim in CLAIMS:
        metric = claim.metric
        difference = pairs.compare(outcome_named(metric.name))
        answer = answer_to(claim, difference) if reading.is_on_cifar10 else "unknown"
        claimed = f"{metric.difference(claim.difference)} {metric.difference_unit}"
        shown[metric.label] = difference_text(metric, difference)
        shown[claimed] = answer
        tones[claimed] = _TONES[answer]
        numbers.append(
            {
                "reference": reading.reference.variant,
                "outcome": metric.name,
                "claimed": claim.difference,
                **difference_numbers(difference),
                "answer": answer,
            }
        )
    rows.add(reading.hybrid, shown, *numbers, tones=tones)
