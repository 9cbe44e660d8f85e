"""Passes on what mpirun says, without what it says of nothing.

Told to survive losses, Open MPI warns at each start that its shared-memory windows are not tested
after one; ours hold plain memory, which a loss leaves as it is. It also adds null bytes.
"""

import re
import threading
from collections.abc import Iterable, Iterator
from typing import IO

_RULE = re.compile(r"-{60,}$")
_UNTESTED = "WARNING: The selected 'osc' module"
_REPEATED = re.compile(r"\d+ more process(es)? ha(s|ve) sent help message help-mpi-ft\.txt")


def worth_telling(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines, each with its end, but for the warning and its repetitions."""
    rule = ""  # the last line, if it was a rule, which may begin the warning
    is_warning = False
    for line in (line.replace("\0", "") for line in lines):
        is_rule = bool(_RULE.match(line.strip()))
        if is_warning:
            is_warning = not is_rule
        elif rule and line.startswith(_UNTESTED):
            rule, is_warning = "", True
        else:
            if rule:
                yield rule
            rule = line if is_rule else ""
            if not (is_rule or _REPEATED.match(line)):
                yield line
    if rule:
        yield rule


class Relay(threading.Thread):
    """Passes on what is worth telling, in a thread that ends with the source.

    Attributes:
        has_told_error: Whether one of our error messages was among it.
    """

    def __init__(self, source: IO[str], target: IO[str]) -> None:
        super().__init__(name="relay", daemon=True)
        self.has_told_error = False
        self._source, self._target = source, target
        self.start()

    def run(self) -> None:
        """Pass on all there is."""
        with self._source:
            for line in worth_telling(self._source):
                self.has_told_error |= line.startswith("Error: ")
                self._target.write(line)
                self._target.flush()
