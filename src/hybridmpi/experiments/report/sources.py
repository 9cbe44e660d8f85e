"""What a report is about: an experiment's folder, or run files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hybridmpi.errors import UserError
from hybridmpi.experiments.digest import digest_files
from hybridmpi.experiments.document import Document
from hybridmpi.experiments.plan_file import PLAN, read_study
from hybridmpi.experiments.report.build import build_document
from hybridmpi.experiments.run_list import study_of_runs
from hybridmpi.experiments.study import Digest


def default_folder(sources: Sequence[Path]) -> Path:
    """Return where a report goes if nothing else is said: beside the runs of a single folder."""
    is_one_folder = len(sources) == 1 and sources[0].is_dir()
    return sources[0] if is_one_folder else Path("report")


def report_on(sources: Sequence[Path]) -> Document:
    """Return the report on what is named on the command line.

    Args:
        sources: The folder of an experiment; or run files, and folders of them.

    Raises:
        UserError: If there is nothing to report on.
    """
    if len(sources) == 1 and (sources[0] / PLAN).is_file():
        return _report_on_experiment(sources[0])
    paths = [path for source in sources for path in _run_files(source)]
    digests, unreadable = digest_files(paths)
    _check_any(digests, unreadable)
    study = study_of_runs(digests, [f"{problem}." for problem in unreadable])
    return build_document(study, digests, f"Report on {len(digests)} run files")


def _report_on_experiment(folder: Path) -> Document:
    study = read_study(folder)
    there = [path for path in dict.fromkeys(study.places.values()) if path.is_file()]
    if not there:
        raise UserError(f"'{folder}' holds no runs yet; make them with `hybridmpi compare`")
    digests, unreadable = digest_files(there)
    _check_any(digests, unreadable)
    problems = (*study.problems, *(f"{problem}." for problem in unreadable))
    return build_document(replace(study, problems=problems), digests, _title(folder))


def _title(folder: Path) -> str:
    return f"Report on {folder.resolve().name}"


def _check_any(digests: Mapping[Path, Digest], unreadable: Sequence[str]) -> None:
    if not digests:
        raise UserError("no run file can be read:\n" + "\n".join(unreadable))


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
