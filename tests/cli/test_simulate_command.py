from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hybridmpi import read_run
from hybridmpi.cli import main
from hybridmpi.cli.progress.wording import duration

JOB = """
run = { gradient_limit = 57, output = "run.h5" }
method = { preset = "m-sync", threshold = { schedule = "constant", value = 3 } }
simulate = { workers = 4, learning = false, compute_fixed_s = 1.0, slowness = [1, 1, 1, 7] }
"""
HEADER = "time_s,worker,event\n"


@pytest.fixture(autouse=True)
def _job(folder: Path) -> None:
    (folder / "job.toml").write_text(JOB)


def simulate(*settings: str) -> Result:
    options = [part for setting in settings for part in ("--set", setting)]
    return CliRunner().invoke(main, ["simulate", "job.toml", *options])


@pytest.mark.parametrize(
    ("settings", "reason", "pushed"),
    [
        ((), "gradient limit", 57),
        (("run.time_limit_s=9.5",), "time limit", 27 + 1),  # 3 a second, and worker 4's at 7 s
    ],
)
def test_run_without_learning_is_summed_up_with_the_numbers_of_its_file(
    settings: tuple[str, ...], reason: str, pushed: int
) -> None:
    result = simulate(*settings)
    run = read_run("run.h5")
    count = run.accounting()
    assert (result.exit_code, run.status) == (0, "complete")
    assert (count.pushed, count.discarded > 0) == (pushed, True)
    assert result.stdout.splitlines()[-7:] == [
        f"complete ({reason})",
        "  test accuracy  not evaluated",
        f"  gradients      {pushed}, {count.discarded} of them discarded",
        f"  steps          {len(run.steps)}",
        f"  duration       {duration(run.duration_s)}",
        "  run file       run.h5",
        "  look at it     hybridmpi show run.h5",
    ]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("simulate.compute_fixed_s=nan", "simulate.compute_fixed_s: must be finite, not nan"),
        ("simulate.compute_fixed_s=-1", "simulate.compute_fixed_s: must be greater than or equal"),
        ("simulate.latency_s=[1e300]", "simulate.latency_s.0: must be less than 1000000000, not"),
        ("simulate.jitter.distribution=normal", "must be 'constant', 'lognormal', 'exponential', "),
        ("delays.max_s=1e300", "delays.max_s: must be less than 1000000000, not 1e+300"),
        ("simulate.trace=none.csv", "the trace none.csv cannot be read"),
        ("run.output=job.toml", "'job.toml' exists already; name another file, or replace it"),
    ],
)
def test_bad_job_is_a_message_and_exit_code_2(setting: str, told: str) -> None:
    result = simulate(setting)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert told in result.stderr
    assert not Path("run.h5").exists()


def test_no_time_at_all_is_refused() -> None:
    result = simulate("simulate.compute_fixed_s=0", "simulate.compute_per_sample_s=0")
    assert result.exit_code == 2
    assert "a gradient takes no time; set compute_fixed_s or" in result.stderr


def test_trace_that_ends_with_no_worker_is_refused() -> None:
    Path("trace.csv").write_text(HEADER + "".join(f"{w},{w},leave\n" for w in range(1, 5)))
    result = simulate("simulate.trace=trace.csv")
    assert result.exit_code == 2
    assert result.stderr == "Error: the trace trace.csv leaves no worker at 4 s; let one stay\n"
