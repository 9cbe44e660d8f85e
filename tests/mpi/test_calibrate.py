"""A run under mpirun, from the fit of its machine to a simulated run on it."""

import tomllib
from typing import Any

from click.testing import CliRunner

from hybridmpi.cli import main
from hybridmpi.config.load import load_job


def test_machine_of_a_real_run_gives_back_its_speed_and_can_be_simulated(ranks: Any) -> None:
    limits = ("--set", "run.gradient_limit=400", "--set", "method.preset=async")
    assert ranks.launch(4, *limits).exit_code == 0
    machine = ranks.folder / "machine.toml"
    done = CliRunner().invoke(main, ["calibrate", str(ranks.run_file), "--output", str(machine)])
    assert done.exit_code == 0, done.output
    section = tomllib.loads(machine.read_text())["simulate"]
    assert section["workers"] == 3
    run = ranks.read()
    assert 0 < section["compute_per_sample_s"] < 1.01 * run.gradients.compute_s.mean() / 16
    gradients = next(line for line in done.stderr.splitlines() if " gradients " in line)
    assert abs(float(gradients.split()[-1].rstrip("%"))) < 25, done.stderr

    again = CliRunner().invoke(main, ["calibrate", str(ranks.run_file), "--output", str(machine)])
    assert again.exit_code == 2
    assert "exists already" in again.stderr

    job = ranks.folder / "both.toml"
    job.write_text(f"{ranks.job.read_text()}\n{machine.read_text()}")
    assert load_job(job).simulate.workers == 3
