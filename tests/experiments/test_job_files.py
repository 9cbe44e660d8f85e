"""A job file for each run of an experiment."""

from pathlib import Path
from typing import Any

import pytest

from hybridmpi.config import load_job
from hybridmpi.config.experiment import Experiment
from hybridmpi.errors import UserError
from hybridmpi.experiments.job_files import ranks_of, write_job_files
from hybridmpi.experiments.plan import Plan, plan
from hybridmpi.experiments.protocol import canonical

BASE = {"run": {"time_limit_s": 10}, "evaluation": {"every_s": 1}, "checkpoint": {"every_s": 2}}
GIVEN: dict[str, Any] = {
    "job": "job.toml",
    "seeds": 2,
    "engine": "mpi",
    "ranks": 4,
    "variants": {
        "async": {"method": {"preset": "async"}},
        "k-async": {
            "method": {"preset": "k-async", "threshold": {"schedule": "constant", "value": 2}}
        },
    },
    "axes": {"optimizer.learning_rate": [0.01, 0.1]},
    "decision": {"reference": "async"},
}


def planned(**changes: Any) -> Plan:
    return plan(Experiment.model_validate(GIVEN | changes), BASE)


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    path = tmp_path / "asked.toml"
    path.write_text("# as asked\n")
    return path


def test_each_job_makes_the_run_that_is_looked_for(tmp_path: Path, asked: Path) -> None:
    own, folder = planned(), tmp_path / "own"
    jobs = write_job_files(own, folder, asked)
    assert sorted(path.name for path in jobs.iterdir()) == [f"{n}.toml" for n in range(8)]
    for number, run in enumerate(own.in_order):
        job = load_job(jobs / f"{number}.toml")
        assert canonical(job, "mpi", 3) == run.form
        assert Path(job.run.output) == folder / run.file


def test_checkpoints_can_be_asked_for_when_the_jobs_are_there(tmp_path: Path, asked: Path) -> None:
    own = planned()
    jobs = write_job_files(own, tmp_path / "own", asked)
    job = load_job(jobs / "0.toml", ["checkpoint.every_s=60"])
    assert canonical(job, "mpi", 3) == own.in_order[0].form


def test_folder_of_jobs_knows_its_ranks(tmp_path: Path, asked: Path) -> None:
    jobs = write_job_files(planned(), tmp_path / "own", asked)
    assert ranks_of(jobs) == 4
    assert ranks_of(tmp_path / "own" / "runs") is None
    assert ranks_of(tmp_path / "jobs") is None


def test_simulated_runs_have_no_job_files(tmp_path: Path, asked: Path) -> None:
    with pytest.raises(UserError, match=r"only runs of engine = 'mpi'.*mpi4py\.futures"):
        write_job_files(planned(engine="simulate", ranks=None), tmp_path / "own", asked)
    assert not (tmp_path / "own").exists()


def test_jobs_of_another_experiment_are_left_alone(tmp_path: Path, asked: Path) -> None:
    jobs = write_job_files(planned(), tmp_path / "own", asked)
    before = (jobs / "0.toml").read_bytes()
    with pytest.raises(UserError, match="is another experiment's"):
        write_job_files(planned(ranks=5), tmp_path / "own", asked)
    assert (jobs / "0.toml").read_bytes() == before
