"""What a report is about: an experiment's folder, or run files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hybridmpi.errors import UserError
from hybridmpi.experiments.arms import Digests
from hybridmpi.experiments.digest import digest_files
from hybridmpi.experiments.plan_file import PLAN, read_study
from hybridmpi.experiments.run_list import study_of_runs
from hybridmpi.experiments.study import Study


@dataclass(frozen=True)
class Source:
    """What has been read: a title for it, the study, and its runs by path."""

    title: str
    study: Study
    digests: Digests


def default_folder(sources: Sequence[Path]) -> Path:
    """Return where a report goes if nothing else is said: beside the runs of a single folder."""
    is_one_folder = len(sources) == 1 and sources[0].is_dir()
    return sources[0] if is_one_folder else Path("report")


def read_sources(sources: Sequence[Path]) -> Source:
    """Read what is named on the command line.

    Args:
        sources: An experiment's folder; or run files, and folders of them.

    Raises:
        UserError: If there is nothing to report on.
    """
    experiments = [source for source in sources if (source / PLAN).is_file()]
    if not experiments:
        return _read_files([path for source in sources for path in _run_files(source)])
    if len(sources) > 1:
        raise UserError(
            f"'{experiments[0]}' is an experiment, which is reported on by itself; name it alone, "
            f"or run files: {experiments[0] / 'runs'}/*.h5"
        )
    return _read_experiment(experiments[0])


def _read_experiment(folder: Path) -> Source:
    study = read_study(folder)
    digests, unreadable = digest_files(path for path in study.places.values() if path.exists())
    if not digests:
        raise UserError(
            f"'{folder}' holds none of its {len(study.places)} runs yet; start `hybridmpi compare`"
        )
    problems = (*study.problems, *(f"{problem}." for problem in unreadable))
    title = f"Report on {folder.resolve().name}"
    return Source(title, replace(study, problems=problems), digests)


def _read_files(paths: Sequence[Path]) -> Source:
    digests, unreadable = digest_files(paths)
    if not digests:
        raise UserError("no run file can be read:\n" + "\n".join(unreadable))
    study = study_of_runs(digests, [f"{problem}." for problem in unreadable])
    files = "run file" if len(digests) == 1 else "run files"
    return Source(f"Report on {len(digests)} {files}", study, digests)


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
