import json
import signal
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor, nn

from hybridmpi import read_run
from hybridmpi.cli import main
from hybridmpi.config.load import parse_job
from hybridmpi.engines.simulate.simulate import Simulation
from hybridmpi.learning.datasets import DataSet

SAMPLES = 64
INTERRUPTS_AT = 20  # calls in training mode, the first of which is a trial without data


class Interrupting(nn.Sequential):
    """Sends its process the signal of Ctrl-C while it computes a batch."""

    computed = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.computed += self.training
        if self.computed == INTERRUPTS_AT:
            signal.raise_signal(signal.SIGINT)
        output: Tensor = super().forward(inputs)
        return output


def softmax(shape: tuple[int, int, int], classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))


def interrupting(shape: tuple[int, int, int], classes: int) -> nn.Module:
    return Interrupting(softmax(shape, classes))


def data_in(root: Path) -> DataSet:
    """Return a data set out of a file in `root`."""
    inputs, labels = torch.load(root / "data.pt")
    return DataSet("stored", inputs, labels, inputs, labels, num_classes=3)


def store(root: Path) -> None:
    root.mkdir()
    generator = torch.Generator().manual_seed(3)
    inputs = torch.rand(SAMPLES, 1, 3, 3, generator=generator)
    labels = torch.randint(3, (SAMPLES,), generator=generator)
    torch.save((inputs, labels), root / "data.pt")


@pytest.fixture
def recorded(folder: Path) -> Path:
    """Return the file of a run of 4 workers whose data lie in the folder `data`."""
    store(folder / "data")
    tree = {
        "run": {"gradient_limit": 30},
        "method": {"preset": "async"},
        "data": {"dataset": f"{__name__}:data_in", "root": "data", "batch_size": 8},
        "model": {"name": f"{__name__}:softmax"},
        "simulate": {"workers": 4, "compute_fixed_s": 1.0},
    }
    Simulation(parse_job(tree, "job")).run(Path("run.h5"))
    return Path("run.h5")


def replay(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["replay", *arguments])


def change(path: Path, edit: Callable[[Any], None]) -> None:
    """Change a run file by hand, so that it looks as if that was recorded."""
    with h5py.File(path, "r+") as file:
        edit(file)
        file.attrs.pop("content_sha256", None)


def other_loss(file: Any) -> None:
    rows = file["gradients"][()]
    rows["loss"][7] += 0.25
    file["gradients"][()] = rows


def other_torch(file: Any) -> None:
    versions = json.loads(file.attrs["library_versions"])
    file.attrs["library_versions"] = json.dumps(versions | {"torch": "1.0"})


def test_run_with_the_same_bits_ends_with_0(recorded: Path) -> None:
    result = replay(str(recorded))
    assert result.exit_code == 0
    assert "30 of 30 losses as recorded" in result.stdout
    assert result.stdout.endswith("every bit is as recorded\n")


def test_difference_that_should_not_be_ends_with_1(recorded: Path) -> None:
    change(recorded, other_loss)
    result = replay(str(recorded))
    assert result.exit_code == 1
    assert "29 of 30 losses as recorded" in result.stdout
    assert "first difference: gradient 7 (worker 4, at " in result.stdout
    assert "largest difference of a loss: 0.25" in result.stdout


def test_difference_under_another_torch_ends_with_3(recorded: Path) -> None:
    change(recorded, other_loss)
    change(recorded, other_torch)
    result = replay(str(recorded))
    assert result.exit_code == 3
    assert "first difference: gradient 7" in result.stdout
    told = f"cannot be expected to match here: torch {version('torch')}, recorded with 1.0"
    assert told in result.stdout


def test_same_bits_under_another_torch_end_with_0(recorded: Path) -> None:
    change(recorded, other_torch)
    result = replay(str(recorded))
    assert (result.exit_code, result.stdout[-25:]) == (0, "every bit is as recorded\n")


def test_help_tells_the_exit_codes() -> None:
    told = " ".join(replay("--help").stdout.split())
    assert "exit code 0 if all bits match, 1 if some differ, 2 for a mistake" in told
    assert "and 3 if some differ that cannot be expected to match here" in told


def test_data_that_lie_elsewhere_now_are_found(recorded: Path) -> None:
    Path("data").rename("elsewhere")
    assert replay(str(recorded), "--set", "data.root=elsewhere").exit_code == 0


def missing_data(path: Path) -> None:
    del path
    Path("data", "data.pt").unlink()


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9000])


def text(path: Path) -> None:
    path.write_text("not a run")


def schema(path: Path) -> None:
    change(path, lambda file: file.attrs.modify("schema_version", 99))


@pytest.mark.parametrize("settings", [(), ("--set", "method.preset=sync")])
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (Path.unlink, "'run.h5' is not there; there are no .h5 files"),
        (cut_off, "'run.h5' is cut off after"),
        (text, "'run.h5' is not an HDF5 file; name a run file of hybridmpi"),
        (schema, "'run.h5' has schema version 99, but this hybridmpi reads versions up to 1"),
        (missing_data, "No such file or directory: 'data/data.pt'"),
    ],
)
def test_run_that_cannot_be_had_is_a_message_and_exit_code_2(
    recorded: Path, damage: Callable[[Path], None], told: str, settings: tuple[str, ...]
) -> None:
    damage(recorded)
    result = replay(str(recorded), *settings)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert told in result.stderr
    assert not Path("run-what-if.h5").exists()


def test_run_without_gradients_is_a_message_and_exit_code_2(recorded: Path) -> None:
    change(recorded, lambda file: file["gradients"].resize(0, axis=0))
    compared, asked = replay(str(recorded)), replay(str(recorded), "--set", "method.preset=sync")
    assert (compared.exit_code, asked.exit_code) == (2, 2)
    assert "'run.h5' holds no gradients; there is nothing to replay" in compared.stderr
    assert "'run.h5' has no compute time of worker 1; replay a longer run" in asked.stderr


def test_missing_data_set_of_ours_is_a_message_and_exit_code_2(recorded: Path) -> None:
    def edit(file: Any) -> None:
        config = json.loads(file.attrs["config"])
        config["data"] |= {"dataset": "mnist", "root": "nowhere"}
        file.attrs["config"] = json.dumps(config)

    change(recorded, edit)
    result = replay(str(recorded))
    assert result.exit_code == 2
    assert "nowhere" in result.stderr


def test_what_if_has_the_recorded_number_of_workers(recorded: Path) -> None:
    result = replay(str(recorded), "--set", "method.preset=sync")
    run = read_run("run-what-if.h5")
    assert (result.exit_code, run.status, len(run.workers)) == (0, "complete", 4)
    assert "  compute times  3" in result.stdout


def test_what_if_with_another_number_of_workers_is_refused(recorded: Path) -> None:
    result = replay(str(recorded), "--set", "simulate.workers=5")
    assert result.exit_code == 2
    assert "simulate.workers is 5, but 'run.h5' has the compute times of 4" in result.stderr


def test_what_if_is_stopped_by_ctrl_c(recorded: Path) -> None:
    model = f"model.name={__name__}:interrupting"
    result = replay(str(recorded), "--set", model, "--set", "run.gradient_limit=1000000")
    run = read_run("run-what-if.h5")
    assert (result.exit_code, run.status) == (0, "stopped")
    assert INTERRUPTS_AT - 1 <= run.accounting().pushed < 1000000
    assert run.final_version == len(run.steps)
    assert "stopped by SIGINT" in result.stdout
