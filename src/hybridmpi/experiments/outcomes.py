"""All runs of a study as one table."""

import pandas as pd

from hybridmpi.experiments.arms import Digests
from hybridmpi.experiments.study import Study


def outcomes(study: Study, digests: Digests) -> pd.DataFrame:
    """Return one row per declared run, in the order of declaration.

    Columns are method, the axes by dotted name, seed, run_file, status (also "missing", or
    "unreadable"), engine, flags, and a run's outcomes, in the metrics' own units (accuracies as
    fractions, losses in nats), bytes and seconds.
    """
    rows = []
    for place, path in study.places.items():
        run = digests.get(path)
        rows.append(
            {
                "method": place.variant,
                **dict(place.cell),
                "seed": place.seed,
                "run_file": str(path),
                "status": run.status if run else "unreadable" if path.exists() else "missing",
                "engine": run.engine if run else "",
                "flags": ", ".join(run.flags) if run else "",
                **(run.outcomes if run else {}),
            }
        )
    return pd.DataFrame(rows)
