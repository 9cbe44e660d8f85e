"""Run files of schema 1.0, kept as they were written: every command that reads still reads them.

ranks: 3 workers under MPI by messages, of which one was killed. simulated: 4 virtual workers, two
of them delayed, with snapshots. failed: it diverged after 14 gradients, and was never evaluated.
"""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load_file
from scipy.io import loadmat

from hybridmpi import read_run
from hybridmpi.cli import main
from hybridmpi.experiments.digest import digest_files
from hybridmpi.runlog.run import Accounting

DATA = Path(__file__).parent / "data"
NAMES = ("ranks", "simulated", "failed")
OTHER_BITS = 3  # exit code of a replay whose bits cannot be expected to match on this machine
EVALUATED = ["time_s", "version", "epoch", "train_loss", "test_loss", "test_accuracy"]

Unpack = Callable[[str], Path]


@pytest.fixture
def former(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unpack:
    """Return a function that unpacks a file of these; the model lies in the current folder."""
    monkeypatch.chdir(DATA)

    def unpack(name: str) -> Path:
        path = tmp_path / f"{name}.h5"
        path.write_bytes(gzip.decompress((DATA / f"{name}.h5.gz").read_bytes()))
        return path

    return unpack


def invoke(*arguments: Path | str) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_files_hold_what_they_held(former: Unpack) -> None:
    ranks, simulated, failed = (read_run(former(name)) for name in NAMES)
    assert [run.status for run in (ranks, simulated, failed)] == ["complete", "complete", "failed"]
    assert ranks.accounting() == Accounting(pushed=97, stepped=97, discarded=0, buffered=0)
    assert failed.accounting() == Accounting(pushed=14, stepped=4, discarded=10, buffered=0)
    assert ranks.events.kind.tolist() == ["lost", "late", "late", "end"]
    assert ranks.gradients.assignment.max() == 1
    assert simulated.workers.delayed.tolist() == [True, False, False, True]
    assert simulated.evaluations.columns.tolist() == EVALUATED
    assert simulated.interval_mean("test_accuracy") == pytest.approx(0.8107042253521128)
    assert simulated.interval_mean("test_loss") == pytest.approx(0.694558339056864)
    assert len(simulated.snapshots) == len(simulated.evaluations) == 11
    assert simulated.snapshot(105).tobytes() == simulated.final.tobytes()  # type: ignore[union-attr]
    assert (failed.final, len(failed.evaluations)) == (None, 0)
    assert "lower optimizer.learning_rate" in failed.attributes["error"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ranks", ["1 lost", "test accuracy 91.55% 75.63% 91.55%", "test loss 0.3034 0.7811"]),
        ("simulated", ["test accuracy 91.55% 81.07% 93.80%", "train loss 0.1922 0.6681 0.1922"]),
        ("failed", ["10 non-finite", "test accuracy - - -"]),
    ],
)
def test_show_says_what_it_said(former: Unpack, name: str, shown: list[str]) -> None:
    result = invoke("show", former(name))
    assert result.exit_code == 0, result.output
    printed = " ".join(result.output.split())
    assert [words for words in shown if words not in printed] == []


@pytest.mark.parametrize("name", NAMES)
def test_export_writes_every_format(former: Unpack, tmp_path: Path, name: str) -> None:
    path, copy, tables = former(name), tmp_path / "copy.h5", tmp_path / "tables.mat"
    for target in (copy, tables):
        result = invoke("export", path, target)
        assert result.exit_code == 0, result.output
    run, copied, matrices = read_run(path), read_run(copy), loadmat(tables)
    assert copied.attributes["content_sha256"] == run.attributes["content_sha256"]
    assert np.array_equal(matrices["gradients"]["loss"][0, 0].ravel(), run.gradients.loss, True)
    if run.final is not None:
        assert invoke("export", path, tmp_path / "model.safetensors").exit_code == 0
        tensors = load_file(tmp_path / "model.safetensors")
        assert np.concatenate([each.ravel() for each in tensors.values()]).size == 650


@pytest.mark.parametrize("name", NAMES)
def test_replay_has_the_recorded_bits(former: Unpack, name: str) -> None:
    result = invoke("replay", former(name))
    assert result.exit_code in (0, OTHER_BITS), result.output


def test_what_if_goes_on_from_them(former: Unpack, tmp_path: Path) -> None:
    output = tmp_path / "what-if.h5"
    result = invoke("replay", former("ranks"), "--set", "method.preset=async", "--output", output)
    assert result.exit_code == 0, result.output
    assert read_run(output).evaluations.columns.tolist() == EVALUATED


def test_report_takes_their_numbers(former: Unpack) -> None:
    paths = [former(name) for name in NAMES]
    digests, unreadable = digest_files(paths)
    assert unreadable == []
    ranks, simulated, failed = (digests[path] for path in paths)
    assert simulated.outcomes["test_accuracy_best"] == pytest.approx(0.9380281690140845)
    assert np.isnan(failed.outcomes["test_accuracy"])
    assert (ranks.flags, simulated.flags, failed.flags) == (("lost workers",), (), ("diverged",))
