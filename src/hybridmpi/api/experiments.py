"""Many runs: make them, and say what they say together."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridmpi.api.jobs import tree_of
from hybridmpi.api.surroundings import interruptible
from hybridmpi.resources import usable_cores

if TYPE_CHECKING:
    from hybridmpi.experiments.compare import Comparison


def compare(
    experiment: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    processes: int | None = None,
    retry_failed: bool = False,
    **settings: Any,
) -> "Comparison":
    """Make the runs of an experiment that are missing, and print a line for each.

    Simulated runs are made in processes of their own, so that a script calls this below
    `if __name__ == "__main__":`.

    Args:
        experiment: An experiment file.
        out: Its folder; if it has been begun, what is missing is made.
        processes: Runs to simulate at a time, by default as many as there are usable cores.
        retry_failed: Rerun those that failed.
        settings: What replaces fields of the base job; see `load_job`.

    Returns:
        The state of every run: complete, failed or missing.

    Raises:
        UserError: If the experiment or a job is wrong, or the folder cannot be used.
        RunFailed: If a process was killed.
    """
    from hybridmpi.cli.progress.experiment import watch_runs
    from hybridmpi.config.experiment import load_experiment
    from hybridmpi.experiments.compare import compare as make_runs
    from hybridmpi.experiments.plan import plan

    declared = load_experiment(Path(experiment))
    planned = plan(declared, tree_of(declared.job, **settings))
    with interruptible() as interrupted, watch_runs() as watcher:
        return make_runs(
            planned,
            Path(out),
            Path(experiment),
            processes=processes or usable_cores(),
            retry_failed=retry_failed,
            interrupted=interrupted,
            watcher=watcher,
        )


def report(*sources: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Compare methods by the run files of an experiment, or by any others.

    Args:
        sources: One folder that `compare` made, or run files.
        out: The report's folder, by default the experiment's, or ./report for run files.

    Returns:
        The report, an HTML file.

    Raises:
        UserError: If there is nothing to report on.
    """
    from hybridmpi.experiments.figures.style import plain_style
    from hybridmpi.experiments.render.report import write_report
    from hybridmpi.experiments.report.build import build_document
    from hybridmpi.experiments.report.sources import default_folder, read_sources

    paths = [Path(source) for source in sources]
    folder = Path(out) if out is not None else default_folder(paths)
    read = read_sources(paths)
    with plain_style():
        write_report(build_document(read.study, read.digests, read.title), folder)
    return folder / "report.html"
