"""Makes all results of the paper's experiments again, and the page that tells them.

    ./with-env python docs/results.py --data DATA --out FOLDER [--only NAME]
    ./with-env python docs/results.py           # the figures and the page from the CSV files
    ./with-env python docs/results.py --check   # shows what would change; exit code 1 if anything

The first makes the runs of jobs/paper that are missing in FOLDER, experiment by experiment, the
most important first, and writes the numbers of each that is whole to docs/results/*.csv. It can be
stopped and started again at any time. docs/results.md is made from docs/results.md.j2 and these CSV
files: no number in it is typed by hand.
"""

import argparse
import difflib
import os
import sys
from pathlib import Path

from findings.experiments import IN_REAL_TIME, NAMES, make_runs
from findings.figures import write_figure
from findings.numbers import write_numbers
from findings.page import render_page
from findings.results import Results

DOCS = Path(__file__).parent
FOLDER, PAGE = DOCS / "results", DOCS / "results.md"


def main() -> None:
    """Make the runs where a folder for them is given; then write, or check, the page."""
    options = _options()
    if options.out is not None:
        unasked = [name for name in NAMES if name not in IN_REAL_TIME]
        for name in [options.only] if options.only else unasked:
            if make_runs(name, options.data, options.out.resolve(), options.processes):
                write_numbers(name, options.out / name, FOLDER)
    results = Results(FOLDER)
    page = render_page(results)
    if options.check:
        before = PAGE.read_text()
        lines = before.splitlines(keepends=True), page.splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(*lines, PAGE.name, "from the CSV files"))
        sys.exit(before != page)
    for name in NAMES:
        if results.is_done(name):
            write_figure(name, FOLDER)
    PAGE.write_text(page)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--out", type=Path, help="folder of the experiments' folders")
    parser.add_argument("--only", choices=NAMES, help="this experiment alone")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--check", action="store_true", help="write nothing, show differences")
    options = parser.parse_args()
    if (options.out is None) != (options.data is None) or (options.check and options.out):
        parser.error("give --data and --out to make runs, or neither; and neither with --check")
    return options


if __name__ == "__main__":
    main()
