"""What the workers did: those that are delayed, and the others."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hybridmpi.experiments.document import Note, Section
from hybridmpi.experiments.report.findings import Findings
from hybridmpi.experiments.report.rows import Rows, number
from hybridmpi.experiments.study import Digest

_GROUPS = {True: "delayed", False: "others"}


def workers_section(findings: Findings) -> Section:
    """Return the section on waiting and on who contributes."""
    rows = Rows()
    for arm in findings.arms:
        if runs := findings.runs(arm):
            workers = _workers(runs)
            shown: dict[str, str] = {}
            for is_delayed, group in _GROUPS.items():
                if (workers.delayed == is_delayed).any():
                    shown |= _shown(group, workers[workers.delayed == is_delayed], len(runs))
            rows.add(arm, shown, *workers.to_dict("records"))
    note = Note(
        "Share of all gradients that come from the delayed workers and from the others, and the "
        "share of their time that they wait; means over runs. The CSV file has every worker."
    )
    return Section("Workers", (note, rows.table("workers", "Delayed workers and others.")))


def _shown(group: str, workers: pd.DataFrame, num_runs: int) -> dict[str, str]:
    return {
        f"{group}: workers": f"{len(workers) / num_runs:.0f}",
        f"{group}: gradients": number(workers.gradient_share.sum() / num_runs, ".1%"),
        f"{group}: waiting": number(workers.waiting_share.mean(), ".1%"),
    }


def _workers(runs: Sequence[Digest]) -> pd.DataFrame:
    """Return the workers of all runs, with each one's share of its run's gradients."""
    workers = pd.concat([run.workers for run in runs], ignore_index=True)
    sizes = [len(run.workers) for run in runs]
    pushed = np.repeat([run.outcomes["gradients"] for run in runs], sizes)
    return workers.assign(
        run_file=np.repeat([run.path.name for run in runs], sizes),
        gradient_share=workers.gradients / np.where(pushed, pushed, np.nan),
    )
