"""All runs, and which of them cannot be relied on."""

from collections.abc import Iterator

import pandas as pd

from hybridmpi.experiments.document import Note, Section, TableOf
from hybridmpi.experiments.names import counted, engine_name, listing, place_name
from hybridmpi.experiments.outcomes import outcomes
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.rows import NOTHING


def runs_section(findings: Findings) -> Section:
    """Return the section on every run, what was flagged, and what is wrong."""
    notes = [Note(problem, "warning") for problem in findings.problems]
    return Section("The runs", (*notes, *flag_notes(findings), _table(findings)))


def flag_notes(findings: Findings) -> Iterator[Note]:
    """Say which runs are flagged."""
    flagged: dict[str, list[str]] = {}
    for place, path in findings.study.places.items():
        run = findings.digests.get(path)
        for flag in run.flags if run else ():
            flagged.setdefault(flag, []).append(place_name(place))
    for flag, names in flagged.items():
        yield Note(
            f"{counted(len(names), 'run')} {flag}: {listing(names)}. No win counts over them.",
            "warning",
        )


def _table(findings: Findings) -> TableOf:
    numbers = outcomes(findings.study, findings.digests)
    shown = pd.DataFrame(
        {
            "run": [place_name(place) for place in findings.study.places],
            "file": [path.name for path in findings.study.places.values()],
            "engine": [engine_name(engine) or NOTHING for engine in numbers.engine],
            "status": numbers.status,
            "flags": numbers["flags"],
        }
    )
    for metric in findings.metrics.values():
        values = numbers.get(metric.name, [None] * len(shown))
        shown[metric.label] = [NOTHING if pd.isna(v) else metric.value(v) for v in values]
    return TableOf("runs", "Every declared run, with its interval means.", shown, numbers)
