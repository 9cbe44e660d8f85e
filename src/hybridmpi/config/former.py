"""What jobs meant before some of their fields existed, for run files and checkpoints of that time.

Both hold every field of their job, so one that lacks a field is older than it.
"""

from collections.abc import Mapping
from typing import Any

from hybridmpi.config.overlay import overlay

_FORMER_DEFAULTS = {"data": {"last_batch": "keep"}}


def with_former_defaults(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded job with the fields that it lacks as they were then."""
    return overlay(_FORMER_DEFAULTS, recorded)
