"""What a report is about: an experiment's folder, or run files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hybridmpi.errors import UserError
from hybridmpi.experiments.digest import digest_files
from hybridmpi.experiments.document import Document
from hybridmpi.experiments.report.build import build_document
from hybridmpi.experiments.run_list import study_of_runs


def default_folder(sources: Sequence[Path]) -> Path:
    """Return where a report goes if nothing else is said: beside the runs of a single folder."""
    is_one_folder = len(sources) == 1 and sources[0].is_dir()
    return sources[0] if is_one_folder else Path("report")


def report_on(sources: Sequence[Path]) -> Document:
    """Return the report on what is named on the command line.

    Args:
        sources: Run files, and folders of them.

    Raises:
        UserError: If there is nothing to report on.
    """
    paths = [path for source in sources for path in _run_files(source)]
    digests, unreadable = digest_files(paths)
    if not digests:
        raise UserError("no run file can be read:\n" + "\n".join(unreadable))
    study = study_of_runs(digests, [f"{problem}." for problem in unreadable])
    return build_document(study, digests, f"Report on {len(digests)} run files")


def _run_files(source: Path) -> Iterator[Path]:
    if not source.is_dir():
        yield source
        return
    found = sorted(source.glob("*.h5"))
    if not found:
        raise UserError(
            f"'{source}' holds no run files (*.h5); name run files, or a folder that "
            "`hybridmpi compare` made with --out"
        )
    yield from found
