import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from safetensors import safe_open
from scipy.io import loadmat

from hybridmpi.cli.export import export
from hybridmpi.errors import UserError
from hybridmpi.runlog.writer import RunWriter


def run_export(*arguments: Path | str) -> str:
    result = CliRunner().invoke(export, [str(argument) for argument in arguments])
    if result.exception:
        raise result.exception
    return result.output


def test_final_parameters_are_exported_with_their_origin(small_run: Path, tmp_path: Path) -> None:
    model_file = tmp_path / "models" / "model.safetensors"
    assert run_export(small_run, model_file) == f"wrote {model_file}\n"
    with safe_open(model_file, "np") as file:
        assert np.array_equal(file.get_tensor("w"), [[0, 1, 2], [3, 4, 5]])
        assert file.get_tensor("seen") == 41
        assert file.metadata() == {
            "run": "run.h5",
            "dataset": "digits",
            "model": "lenet",
            "version": "2",
        }


def test_existing_model_is_replaced_only_by_force(small_run: Path, tmp_path: Path) -> None:
    model_file = tmp_path / "model.safetensors"
    model_file.write_text("precious")
    with pytest.raises(UserError, match="--force"):
        run_export(small_run, model_file)
    assert model_file.read_text() == "precious"
    run_export(small_run, model_file, "--force")
    assert model_file.stat().st_size > 100
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.safetensors", "run.h5"]


def test_tables_are_exported_for_matlab_and_octave(small_run: Path, tmp_path: Path) -> None:
    run_export(small_run, tmp_path / "run.mat")
    run = loadmat(tmp_path / "run.mat", squeeze_me=True, simplify_cells=True)
    assert run["attributes"]["status"] == "complete"
    assert run["attributes"]["duration_s"] == 30.0
    assert json.loads(run["attributes"]["config"])["method"]["preset"] == "hybrid"
    assert run["gradients"]["time_s"].tolist() == [1.0, 8.0, 9.0, 12.0, 29.0]
    assert run["gradients"]["accepted"].tolist() == [1, 1, 0, 1, 1]
    assert run["gradients"]["step"].dtype == np.int64
    assert run["events"]["kind"] == "non-finite"
    assert run["workers"]["host"].tolist() == [r"z\xfcrich", r"z\xfcrich"]


def test_run_that_goes_on_is_exported_to_a_closed_copy(
    new_run: Callable[..., RunWriter], tmp_path: Path
) -> None:
    writer = new_run()
    run_export(writer.path, tmp_path / "copy.h5")
    with h5py.File(tmp_path / "copy.h5") as copy:  # which refuses a file that is not closed
        assert copy.attrs["status"] == b"running"
        assert copy["workers"]["rank"].tolist() == [1, 2]


@pytest.mark.parametrize("options", [[], ["--force"]])
def test_run_file_is_not_replaced_by_its_copy(small_run: Path, options: list[str]) -> None:
    before = small_run.read_bytes()
    with pytest.raises(UserError, match=r"exists already|is the run file itself; name another"):
        run_export(small_run, small_run, *options)
    assert small_run.read_bytes() == before


def test_unknown_format_is_refused(small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must end with one of \.safetensors, \.mat, \.h5"):
        run_export(small_run, tmp_path / "run.csv")


def test_run_that_goes_on_is_refused(new_run: Callable[..., RunWriter], tmp_path: Path) -> None:
    writer = new_run()
    with pytest.raises(UserError, match="no final parameters"):
        run_export(writer.path, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
