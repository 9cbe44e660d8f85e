from pathlib import Path

import pytest

from hybridmpi.errors import UserError
from hybridmpi.slurm.queue import Allocation, own_allocation, requeue, submit


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that holds the only commands there are."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_allocation_is_read_from_the_environment() -> None:
    given = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_RESTART_COUNT": "3"}
    assert own_allocation(given) == Allocation("7", nodes=2, restarts=3)
    assert own_allocation({"SLURM_JOB_ID": "7"}) == Allocation("7", nodes=1, restarts=0)
    assert own_allocation({}) is None


@pytest.mark.parametrize("value", ["", "0", "2(x3)", "-1", "many"])
def test_numbers_that_make_no_sense_are_passed_over(value: str) -> None:
    given = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": value, "SLURM_RESTART_COUNT": value}
    assert own_allocation(given) == Allocation("7", nodes=1, restarts=0)
    assert own_allocation({"SLURM_JOB_ID": ""}) is None


def test_script_is_given_to_sbatch_which_answers_with_the_job(commands: Path) -> None:
    fake(commands, "sbatch", f'read -r line; echo "$* $line" >{commands}/said; echo "12;cluster"')
    assert submit("#!/bin/bash\n") == "12"
    assert (commands / "said").read_text() == "--parsable #!/bin/bash\n"


def test_job_is_requeued_by_scontrol(commands: Path) -> None:
    fake(commands, "scontrol", f'echo "$*" >>{commands}/said; echo "JobId=12 Restarts=3 Node=1"')
    requeue(Allocation("12", nodes=2, restarts=3))
    assert (commands / "said").read_text() == "show job --oneliner 12\nrequeue 12\n"


def test_job_that_runs_elsewhere_by_now_is_left_alone(commands: Path) -> None:
    fake(commands, "scontrol", f'echo "$*" >>{commands}/said; echo "JobId=12 Restarts=31"')
    with pytest.raises(UserError, match="started job 12 again already"):
        requeue(Allocation("12", nodes=2, restarts=3))
    assert (commands / "said").read_text() == "show job --oneliner 12\n"


def test_what_slurm_says_is_passed_on(commands: Path) -> None:
    fake(commands, "sbatch", "echo 'sbatch: error: invalid partition' >&2; exit 1")
    with pytest.raises(UserError, match=r"`sbatch --parsable` did not work: .*invalid partition"):
        submit("#!/bin/bash\n")


@pytest.mark.usefixtures("commands")
def test_machine_without_slurm_is_told_so() -> None:
    with pytest.raises(UserError, match="is this a machine from which jobs are submitted"):
        submit("#!/bin/bash\n")
