"""How long runs took: times.jsonl, one line per run that was made."""

import json
from pathlib import Path

from hybridmpi.experiments.work import Ended

_NAME = "times.jsonl"


def note_time(folder: Path, file: str, how: Ended) -> None:
    """Append how long a run took."""
    line = json.dumps({"file": file, "status": how.status, "seconds": round(how.seconds, 3)})
    with (folder / _NAME).open("a") as times:
        times.write(line + "\n")


def read_times(folder: Path) -> dict[str, float]:
    """Return the seconds that each complete run took, by its file."""
    try:
        lines = (folder / _NAME).read_text().splitlines()
    except FileNotFoundError:
        return {}
    rows = [json.loads(line) for line in lines if line.endswith("}")]  # the last may be cut off
    return {row["file"]: row["seconds"] for row in rows if row["status"] == "complete"}
