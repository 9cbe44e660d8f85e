from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors import safe_open

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


def test_run_that_goes_on_is_refused(new_run: Callable[..., RunWriter], tmp_path: Path) -> None:
    writer = new_run()
    with pytest.raises(UserError, match="no final parameters"):
        run_export(writer.path, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
